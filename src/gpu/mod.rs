//! The only code that calls wgpu: adapters, the device, buffers, kernels and their replay.
//!
//! This layer knows buffers and dispatches; it knows no tensor shapes.

mod adapters;
mod buffer;
mod caps;
mod context;
mod environment;
mod error;
mod kernel;
mod lock;
mod memory;
mod pace;
mod profiler;
mod replay;
pub mod shader;

pub use adapters::{AdapterSummary, find_adapter, list_adapters};
pub use buffer::{Buffer, BufferSlice, Pending};
pub use caps::{Caps, DeviceKind, Variant};
pub use context::{Gpu, GpuOptions};
pub use error::GpuError;
pub use kernel::{Access, Kernel, KernelSpec};
pub use profiler::KernelTime;
pub use replay::{Cost, Dispatch, PARAMS_STRIDE, Sequence};
