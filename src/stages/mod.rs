//! What each step of the method computes.
