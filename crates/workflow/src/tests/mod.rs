//! Plans of toy stages run on real directories.

mod caching;
mod damage;
mod durability;
mod housekeeping;
mod index;
mod links;
mod running;
mod scheduling;
mod sharing;
