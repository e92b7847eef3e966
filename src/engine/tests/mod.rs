//! Plans of toy stages run on real directories.

mod caching;
mod damage;
mod housekeeping;
mod running;
mod scheduling;
