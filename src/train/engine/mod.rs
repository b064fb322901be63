//! The engine of a training: programs by shape, micro-batches, updates, the loop over epochs. It knows no network, no
//! optimizer and no picture: a [`Task`] records the passes and makes the micro-batches, whatever applies gradients is
//! recorded by a closure, and all that is to be said goes out as an [`Event`](super::events::Event).

mod programs;
mod recent;
mod run;
mod stop;
mod update;

pub use programs::{LOSS, MicroBatch, Plans, Programs, Recorded, RecordedShape};
pub use run::{Engine, Length, Moment, RunEnd, Task, Update};
pub use stop::{Interruption, StopRequest};
pub use update::{LossScale, PendingUpdate, RecordedUpdate, UpdateNumbers, UpdateResult, record_update};
