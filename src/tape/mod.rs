//! Record once, replay each step: values and nodes as plain data, backward by appending nodes, a memory plan, and the
//! program that is replayed.
//!
//! This layer knows shapes and lifetimes; it names no concrete op.

mod backward;
mod fuse;
mod op;
mod plan;
mod program;
mod record;
mod value;

pub use backward::Checkpointing;
pub use op::{Arg, Backward, Launch, Lowering, Op};
pub use plan::{Plan, prepared_bytes, shared_bytes};
pub use program::Program;
pub use record::Tape;
pub use value::{DType, Input, Value};
