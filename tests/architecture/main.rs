//! The house rules of `src`: imports run downward and in no circle, `core` knows only std and itself, files and lists of
//! fields and arguments stay short, and every key of the configuration is explained.

mod circles;
mod imports;
mod keys;
mod pages;
mod rooms;
mod shapes;
mod sources;
