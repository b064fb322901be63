//! A prepared list of dispatches and its replay.

use std::{ops::Range, sync::Arc, time::Instant};

use super::{BufferSlice, Gpu, GpuError, Kernel, lock::lock};

/// Bytes between the parameter blocks of consecutive dispatches; also the largest parameter block.
pub const PARAMS_STRIDE: u64 = 256;

/// Longest predicted device time of one submit, in seconds: a desktop stays fluid, and no driver's watchdog wakes.
const SUBMIT_SECONDS: f64 = 0.05;

/// Arithmetic and memory traffic of a dispatch, for prediction and for reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub flops: u64,
    pub bytes: u64,
}

impl Cost {
    /// One number to predict time from: the traffic is weighed as if a byte cost eight operations.
    fn weight(self) -> f64 {
        self.flops as f64 + 8.0 * self.bytes as f64
    }
}

/// One kernel launch before it is bound: what a compiled program hands to [`Sequence::build`].
pub struct Dispatch {
    pub kernel: Arc<Kernel>,
    pub label: String,
    pub params: Vec<u8>,
    pub bindings: Vec<BufferSlice>,
    pub workgroups: [u32; 3],
    pub cost: Cost,
}

pub(super) struct Bound {
    pub kernel: Arc<Kernel>,
    pub label: String,
    pub bind_group: wgpu::BindGroup,
    pub workgroups: [u32; 3],
    pub cost: Cost,
}

/// Dispatches with their bind groups, ready to be encoded again and again.
pub struct Sequence {
    pub(super) dispatches: Vec<Bound>,
}

impl Sequence {
    /// Allocates what is not allocated yet and creates all bind groups.
    ///
    /// # Errors
    /// Out of memory, or a rejected command.
    pub fn build(gpu: &Gpu, dispatches: Vec<Dispatch>) -> Result<Self, GpuError> {
        let params = upload_params(gpu, &dispatches);
        let bound = dispatches.into_iter().enumerate().map(|(index, dispatch)| {
            let bind_group = bind(gpu, &dispatch, &params, index as u64 * PARAMS_STRIDE);
            let Dispatch { kernel, label, workgroups, cost, .. } = dispatch;
            Bound { kernel, label, bind_group, workgroups, cost }
        });
        let dispatches = bound.collect();
        gpu.check()?;
        Ok(Self { dispatches })
    }

    pub fn len(&self) -> usize {
        self.dispatches.len()
    }

    pub fn is_empty(&self) -> bool {
        self.dispatches.is_empty()
    }

    /// Total cost of one replay.
    pub fn cost(&self) -> Cost {
        self.dispatches.iter().fold(Cost::default(), |sum, dispatch| Cost {
            flops: sum.flops + dispatch.cost.flops,
            bytes: sum.bytes + dispatch.cost.bytes,
        })
    }

    /// Encodes and submits all dispatches, in submits short enough for a shared GPU. Does not wait.
    pub fn replay(&self, gpu: &Gpu) {
        let limit = SUBMIT_SECONDS / lock(&gpu.pace).seconds_per_weight;
        let mut start = 0;
        while start < self.dispatches.len() {
            let mut end = start;
            let mut weight = 0.0;
            while end < self.dispatches.len() && (end == start || weight < limit) {
                weight += self.dispatches[end].cost.weight();
                end += 1;
            }
            self.submit(gpu, start..end);
            start = end;
        }
    }

    /// Replays, waits, and learns the device's pace from the time it took.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn replay_timed(&self, gpu: &Gpu) -> Result<f64, GpuError> {
        gpu.wait()?;
        let start = Instant::now();
        self.replay(gpu);
        gpu.wait()?;
        let seconds = start.elapsed().as_secs_f64();
        let weight: f64 = self.dispatches.iter().map(|dispatch| dispatch.cost.weight()).sum();
        if weight > 0.0 {
            lock(&gpu.pace).seconds_per_weight = seconds / weight;
        }
        Ok(seconds)
    }

    /// Submits the dispatch at `index` alone.
    pub fn replay_one(&self, gpu: &Gpu, index: usize) {
        self.submit(gpu, index..index + 1);
    }

    /// Seconds that encoding one replay takes the host; nothing is submitted.
    pub fn encoding_seconds(&self, gpu: &Gpu) -> f64 {
        let start = Instant::now();
        drop(self.encode(gpu, 0..self.len()));
        start.elapsed().as_secs_f64()
    }

    fn submit(&self, gpu: &Gpu, range: Range<usize>) {
        gpu.queue.submit([self.encode(gpu, range)]);
    }

    fn encode(&self, gpu: &Gpu, range: Range<usize>) -> wgpu::CommandBuffer {
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for dispatch in &self.dispatches[range] {
                dispatch.encode(&mut pass);
            }
        }
        encoder.finish()
    }
}

impl Bound {
    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.workgroups;
        pass.set_pipeline(&self.kernel.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

fn upload_params(gpu: &Gpu, dispatches: &[Dispatch]) -> wgpu::Buffer {
    let size = (dispatches.len().max(1) as u64) * PARAMS_STRIDE;
    let mut bytes = vec![0u8; size as usize];
    for (index, dispatch) in dispatches.iter().enumerate() {
        assert!(dispatch.params.len() as u64 <= PARAMS_STRIDE, "{}: parameter block too large", dispatch.label);
        let start = index * PARAMS_STRIDE as usize;
        bytes[start..start + dispatch.params.len()].copy_from_slice(&dispatch.params);
    }
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("parameters"),
        size,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue.write_buffer(&buffer, 0, &bytes);
    buffer
}

fn bind(gpu: &Gpu, dispatch: &Dispatch, params: &wgpu::Buffer, offset: u64) -> wgpu::BindGroup {
    let range = |buffer, offset, bytes| {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: std::num::NonZeroU64::new(bytes) })
    };
    let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: range(params, offset, PARAMS_STRIDE) }];
    for (index, slice) in dispatch.bindings.iter().enumerate() {
        let resource = range(slice.buffer.raw(gpu), slice.offset, slice.bytes);
        entries.push(wgpu::BindGroupEntry { binding: index as u32 + 1, resource });
    }
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&dispatch.label),
        layout: &dispatch.kernel.layout,
        entries: &entries,
    })
}
