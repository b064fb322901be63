//! What is trained beside frozen weights.

mod store;

pub use store::{Placed, Shard, Store, TensorShape};
