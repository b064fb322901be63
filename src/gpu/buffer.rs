//! Device memory: buffers that are declared first and allocated on first use, and what moves bytes in and out.

use std::sync::{Arc, Mutex, OnceLock, atomic::Ordering, mpsc};

use super::{Gpu, GpuError, lock::lock};

/// Bytes uploaded per command, and bytes staged before the device must take them: together they bound the host memory
/// that uploads take.
const UPLOAD_CHUNK: usize = 16 << 20;
const STAGED_AT_MOST: u64 = 64 << 20;

/// A storage buffer with a name. Declaring one costs nothing; memory is taken when it is first used on a device,
/// so that a memory plan can be drawn up and printed before anything is allocated.
#[derive(Clone)]
pub struct Buffer(Arc<Inner>);

struct Inner {
    label: String,
    bytes: u64,
    raw: OnceLock<wgpu::Buffer>,
    /// By purpose.
    derived: Mutex<Vec<(&'static str, Buffer)>>,
}

/// A range of a [`Buffer`], in bytes.
#[derive(Clone)]
pub struct BufferSlice {
    pub buffer: Buffer,
    pub offset: u64,
    pub bytes: u64,
}

impl Buffer {
    /// Declares a buffer of `bytes` bytes, rounded up to a multiple of 16.
    pub fn declare(label: impl Into<String>, bytes: u64) -> Self {
        let bytes = bytes.next_multiple_of(16).max(16);
        Self(Arc::new(Inner { label: label.into(), bytes, raw: OnceLock::new(), derived: Mutex::default() }))
    }

    /// A buffer for what is computed from this one's contents: the same one for each call with this purpose.
    pub fn derived(&self, purpose: &'static str, bytes: u64) -> Self {
        let mut derived = lock(&self.0.derived);
        if let Some((_, buffer)) = derived.iter().find(|(known, _)| *known == purpose) {
            return buffer.clone();
        }
        let buffer = Self::declare(format!("{}.{purpose}", self.label()), bytes);
        derived.push((purpose, buffer.clone()));
        buffer
    }

    pub fn label(&self) -> &str {
        &self.0.label
    }

    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }

    pub fn whole(&self) -> BufferSlice {
        BufferSlice { buffer: self.clone(), offset: 0, bytes: self.bytes() }
    }

    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn raw(&self, gpu: &Gpu) -> &wgpu::Buffer {
        self.0.raw.get_or_init(|| {
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(&self.0.label),
                size: self.0.bytes,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.label(), self.bytes())
    }
}

impl std::fmt::Debug for BufferSlice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}[{}..+{}]", self.buffer, self.offset, self.bytes)
    }
}

impl Gpu {
    /// Copies `bytes` into the slice, from its start. The length must be a multiple of 4 and fit.
    pub fn upload(&self, to: &BufferSlice, bytes: &[u8]) {
        assert!(bytes.len() as u64 <= to.bytes, "{} bytes do not fit into {to:?}", bytes.len());
        let raw = to.buffer.raw(self);
        for (index, chunk) in bytes.chunks(UPLOAD_CHUNK).enumerate() {
            let offset = to.offset + (index * UPLOAD_CHUNK) as u64;
            self.queue.write_buffer(raw, offset, chunk);
            let staged = self.staged.fetch_add(chunk.len() as u64, Ordering::Relaxed) + chunk.len() as u64;
            if staged >= STAGED_AT_MOST {
                self.flush_uploads();
            }
        }
    }

    /// Hands staged uploads to the device and frees their staging memory.
    pub fn flush_uploads(&self) {
        self.staged.store(0, Ordering::Relaxed);
        self.queue.submit([]);
        // A device that cannot finish an upload reports the loss through `check`.
        let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
    }

    /// Fills the slice with zeros.
    pub fn clear(&self, slice: &BufferSlice) {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.clear_buffer(slice.buffer.raw(self), slice.offset, Some(slice.bytes));
        self.queue.submit([encoder.finish()]);
    }

    /// Copies between device buffers.
    pub fn copy(&self, from: &BufferSlice, to: &BufferSlice) {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let (source, target) = (from.buffer.raw(self), to.buffer.raw(self));
        encoder.copy_buffer_to_buffer(source, from.offset, target, to.offset, from.bytes.min(to.bytes));
        self.queue.submit([encoder.finish()]);
    }

    /// Starts reading a slice back; [`Pending::wait`] gets the bytes.
    pub fn read_later(&self, slice: &BufferSlice) -> Pending {
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read back"),
            size: slice.bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(slice.buffer.raw(self), slice.offset, &staging, 0, slice.bytes);
        let submission = self.queue.submit([encoder.finish()]);
        let (sender, receiver) = mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // The receiver is gone only when nobody wants the bytes any more.
            let _ = sender.send(result);
        });
        Pending { what: slice.buffer.label().to_owned(), staging, submission, receiver }
    }

    /// Reads a slice back, waiting for it.
    ///
    /// # Errors
    /// A failure of the device, now or since the last check.
    pub fn read(&self, slice: &BufferSlice) -> Result<Vec<u8>, GpuError> {
        self.read_later(slice).wait(self)
    }
}

/// Bytes on their way back from the device.
pub struct Pending {
    what: String,
    staging: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    receiver: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Pending {
    /// Waits for the bytes.
    ///
    /// # Errors
    /// A failure of the device, now or since the last check.
    pub fn wait(self, gpu: &Gpu) -> Result<Vec<u8>, GpuError> {
        let failed = |reason: String| GpuError::Readback { what: self.what.clone(), reason };
        let poll = wgpu::PollType::Wait { submission_index: Some(self.submission.clone()), timeout: None };
        gpu.device.poll(poll).map_err(|error| GpuError::Lost(error.to_string()))?;
        gpu.check()?;
        // Another thread's poll may have taken the callback and not run it yet.
        match self.receiver.recv() {
            Ok(result) => result.map_err(|error| failed(error.to_string()))?,
            Err(error) => return Err(failed(error.to_string())),
        }
        let view = self.staging.get_mapped_range(..).map_err(|error| failed(error.to_string()))?;
        Ok(view.to_vec())
    }
}
