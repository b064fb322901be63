//! Time per kernel: device timestamps where there are any, waiting for each dispatch otherwise.

use std::time::Instant;

use super::{Cost, Gpu, GpuError, Sequence};

/// Most dispatches timed by one query set (two queries each; 4,096 is WebGPU's limit).
const DISPATCHES_PER_SET: usize = 2048;

/// What one dispatch took.
#[derive(Clone, Debug)]
pub struct KernelTime {
    /// Kernel as [`super::KernelSpec::label`] names it.
    pub kernel: String,
    /// The dispatch's own name: the op, and where in the model it stands.
    pub label: String,
    pub seconds: f64,
    pub cost: Cost,
}

impl Sequence {
    /// Replays once and says how long each dispatch took.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn profile(&self, gpu: &Gpu) -> Result<Vec<KernelTime>, GpuError> {
        gpu.wait()?;
        let mut seconds = Vec::with_capacity(self.len());
        for start in (0..self.len()).step_by(DISPATCHES_PER_SET) {
            let range = start..self.len().min(start + DISPATCHES_PER_SET);
            if gpu.caps().timestamps {
                seconds.extend(self.timestamps(gpu, range)?);
            } else {
                seconds.extend(self.waits(gpu, range)?);
            }
        }
        let timed = self.dispatches.iter().zip(seconds);
        Ok(timed
            .map(|(dispatch, seconds)| KernelTime {
                kernel: dispatch.kernel.label.clone(),
                label: dispatch.label.clone(),
                seconds,
                cost: dispatch.cost,
            })
            .collect())
    }

    fn waits(&self, gpu: &Gpu, range: std::ops::Range<usize>) -> Result<Vec<f64>, GpuError> {
        let mut seconds = Vec::with_capacity(range.len());
        for dispatch in &self.dispatches[range] {
            let start = Instant::now();
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            dispatch.encode(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
            gpu.queue.submit([encoder.finish()]);
            gpu.wait()?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        Ok(seconds)
    }

    fn timestamps(&self, gpu: &Gpu, range: std::ops::Range<usize>) -> Result<Vec<f64>, GpuError> {
        let count = 2 * range.len() as u32;
        let set = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for (index, dispatch) in self.dispatches[range].iter().enumerate() {
            let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                query_set: &set,
                beginning_of_pass_write_index: Some(2 * index as u32),
                end_of_pass_write_index: Some(2 * index as u32 + 1),
            });
            let descriptor = wgpu::ComputePassDescriptor { label: Some(&dispatch.label), timestamp_writes };
            dispatch.encode(&mut encoder.begin_compute_pass(&descriptor));
        }
        let ticks = resolve(gpu, encoder, &set, count)?;
        let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
        Ok(ticks.chunks_exact(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * period).collect())
    }
}

fn resolve(
    gpu: &Gpu,
    mut encoder: wgpu::CommandEncoder,
    set: &wgpu::QuerySet,
    count: u32,
) -> Result<Vec<u64>, GpuError> {
    let size = u64::from(count) * 8;
    let buffer = |label, usage| {
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        gpu.device.create_buffer(&descriptor)
    };
    let resolved = buffer("timestamps", wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
    let staging = buffer("timestamps on the host", wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    encoder.resolve_query_set(set, 0..count, &resolved, 0);
    encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, size);
    gpu.queue.submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |_| {});
    gpu.wait()?;
    let failed =
        |error: wgpu::MapRangeError| GpuError::Readback { what: "timestamps".into(), reason: error.to_string() };
    let view = staging.get_mapped_range(..).map_err(failed)?;
    Ok(bytemuck::pod_collect_to_vec(&view))
}
