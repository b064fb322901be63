//! The device, its queue, and the kernels compiled so far.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    AdapterSummary, Caps, GpuError, Kernel, KernelSpec, Variant,
    adapters::{enumerate, instance, select, summarize},
    lock::lock,
    memory,
    pace::Pace,
};

/// How to open a device.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// Index or part of the name; the best adapter where absent.
    pub device: Option<String>,
    /// Forces a kernel family instead of choosing by capabilities.
    pub variant: Option<Variant>,
    /// Asks for WebGPU's default limits and no feature at all, as a browser would give.
    pub default_limits: bool,
    /// Storage bindings stay below this many bytes though the adapter would take more: how the suite reaches launches
    /// in bands with small tensors.
    pub max_binding: Option<u64>,
    /// Bounds checks in shaders; on in builds with debug assertions where absent.
    pub shader_checks: Option<bool>,
}

/// An open device. Cheap to share by reference; all methods take `&self`.
pub struct Gpu {
    adapter: wgpu::Adapter,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    summary: AdapterSummary,
    caps: Caps,
    /// A kernel that is being compiled is there, but empty: whoever wants it waits, and others do not.
    kernels: Mutex<HashMap<KernelSpec, Arc<OnceLock<Arc<Kernel>>>>>,
    failure: Arc<Mutex<Option<GpuError>>>,
    pub(super) pace: Mutex<Pace>,
    /// Bytes staged for upload since the device last took them.
    pub(super) staged: AtomicU64,
    shader_checks: bool,
}

impl Gpu {
    /// Opens the wanted adapter, or the best one.
    ///
    /// # Errors
    /// No adapter, an unknown `device`, or an adapter that refuses a device.
    pub fn open(options: &GpuOptions) -> Result<Self, GpuError> {
        let instance = instance();
        let (index, adapter) = select(enumerate(&instance), options.device.as_deref())?;
        let summary = summarize(index, &adapter);
        let (features, mut limits) = wanted_features_and_limits(&adapter, options.default_limits);
        let most = options.max_binding.unwrap_or(u64::MAX);
        limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.min(most);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("lora-wgpu"),
            required_features: features,
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|error| GpuError::NoDevice { adapter: summary.name.clone(), reason: error.to_string() })?;
        let failure = Arc::new(Mutex::new(None));
        install_error_callbacks(&device, &failure);
        let mut caps = Caps::of(&adapter, &limits, features);
        caps.variant = options.variant.unwrap_or(caps.variant);
        let pace = Mutex::new(Pace::for_kind(caps.kind));
        let shader_checks = options.shader_checks.unwrap_or(cfg!(debug_assertions));
        Ok(Self {
            adapter,
            device,
            queue,
            summary,
            caps,
            kernels: Mutex::default(),
            failure,
            pace,
            staged: AtomicU64::new(0),
            shader_checks,
        })
    }

    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }

    /// Bytes that the device can still give, where its driver tells. Metal does not count what other programs use.
    pub fn free_memory(&self) -> Option<u64> {
        memory::free_memory(&self.adapter)
    }

    /// Changes the kernel family from now on: how a failed self-test steps back to the portable kernels.
    pub fn set_variant(&mut self, variant: Variant) {
        self.caps.variant = variant;
    }

    /// The compiled kernel of `spec`, compiled at most once.
    pub fn kernel(&self, spec: &KernelSpec) -> Arc<Kernel> {
        let kernel = lock(&self.kernels).entry(spec.clone()).or_default().clone();
        kernel.get_or_init(|| Arc::new(Kernel::compile(&self.device, spec, self.shader_checks))).clone()
    }

    /// Does `work` while another thread compiles `specs`, as far as it gets meanwhile.
    pub fn compile_during<T>(&self, specs: &[KernelSpec], work: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for spec in specs.iter().take_while(|_| !over.load(Ordering::Relaxed)) {
                    self.kernel(spec);
                }
            });
            let result = work();
            over.store(true, Ordering::Relaxed);
            result
        })
    }

    /// How many pipelines have been compiled.
    pub fn kernel_count(&self) -> usize {
        lock(&self.kernels).values().filter(|kernel| kernel.get().is_some()).count()
    }

    /// The first failure the device reported since the last call, if any.
    ///
    /// # Errors
    /// Out of memory, a lost device, or a rejected command.
    pub fn check(&self) -> Result<(), GpuError> {
        lock(&self.failure).take().map_or(Ok(()), Err)
    }

    /// Waits until everything submitted so far has run.
    ///
    /// # Errors
    /// As [`Gpu::check`]; a device that never answers counts as lost.
    pub fn wait(&self) -> Result<(), GpuError> {
        let timeout = Some(Duration::from_secs(3600));
        self.device
            .poll(wgpu::PollType::Wait { submission_index: None, timeout })
            .map_err(|error| GpuError::Lost(error.to_string()))?;
        self.check()
    }
}

fn wanted_features_and_limits(adapter: &wgpu::Adapter, default_limits: bool) -> (wgpu::Features, wgpu::Limits) {
    if default_limits {
        return (wgpu::Features::empty(), wgpu::Limits::defaults());
    }
    let useful = wgpu::Features::SUBGROUP
        | wgpu::Features::SHADER_INT64
        | wgpu::Features::SHADER_F16
        | wgpu::Features::TIMESTAMP_QUERY;
    (adapter.features() & useful, adapter.limits())
}

fn install_error_callbacks(device: &wgpu::Device, failure: &Arc<Mutex<Option<GpuError>>>) {
    let slot = failure.clone();
    device.on_uncaptured_error(Arc::new(move |error| {
        let error = match error {
            wgpu::Error::OutOfMemory { source } => GpuError::OutOfMemory(source.to_string()),
            other => GpuError::Rejected(other.to_string()),
        };
        lock(&slot).get_or_insert(error);
    }));
    let slot = failure.clone();
    device.set_device_lost_callback(move |reason, message| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            lock(&slot).get_or_insert(GpuError::Lost(message));
        }
    });
}
