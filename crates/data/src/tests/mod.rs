//! What loaders make of good files and of bad ones.

mod cifar;
mod cifar10c;
mod cifar_pickled;
mod fixtures;
mod folder;
mod idx;
mod library;
mod missing;
mod photographs;
mod small;
