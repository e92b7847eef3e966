//! Data sets, read and fetched.
