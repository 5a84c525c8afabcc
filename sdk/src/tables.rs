//! The tables that the SDK keeps in the service's database.
