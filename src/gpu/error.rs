//! What can go wrong between the program and a GPU.

use thiserror::Error;

/// A failure of the environment or the device, worded for the person who runs the program.
#[derive(Debug, Error)]
pub enum GpuError {
    #[error(
        "no GPU was found: wgpu sees no Vulkan, Metal or DX12 adapter. Install your GPU's driver \
         (on Debian or Ubuntu also `libvulkan1`; `mesa-vulkan-drivers` gives a slow CPU driver)"
    )]
    NoAdapter,
    #[error("no adapter matches device `{wanted}`; `lora-wgpu devices` lists: {available}")]
    UnknownDevice { wanted: String, available: String },
    #[error("the adapter {adapter} refused a device: {reason}")]
    NoDevice { adapter: String, reason: String },
    #[error("{what} needs a buffer of {bytes} bytes, but this device stops at {limit} bytes")]
    BufferTooLarge { what: String, bytes: u64, limit: u64 },
    #[error("the GPU ran out of memory: {0}")]
    OutOfMemory(String),
    #[error("the GPU was lost: {0}")]
    Lost(String),
    #[error("the GPU rejected a command (a bug in lora-wgpu, please report it): {0}")]
    Rejected(String),
    #[error("reading {what} back from the GPU failed: {reason}")]
    Readback { what: String, reason: String },
}

impl GpuError {
    /// Whether less of the same would have fitted.
    pub fn wants_less(&self) -> bool {
        matches!(self, Self::BufferTooLarge { .. } | Self::OutOfMemory(_))
    }
}
