//! The gRPC API of a coordinator in this process, with its own connection to it.

mod acting;
mod api;
mod definitions;
mod guarding;
mod live;
mod looking;
mod messages;
mod participants;
mod refusing;
mod starting;
mod tccs;
