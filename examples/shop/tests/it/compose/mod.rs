//! docker-compose.yml and the Dockerfile against what the programs need.
//!
//! Nothing is started: each command line is read by the program's own parser,
//! each variable by the program's own configuration, and names and ports are
//! compared. That the images exist, and that they start, is not shown here.

mod addresses;
mod commands;
mod file;
mod image;
mod order_of_start;
mod safety;
