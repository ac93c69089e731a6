//! In the making.

pub mod handler;
