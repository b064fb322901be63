//! A kernel: one entry point of a shader file with its constants, compiled to a pipeline.

use std::borrow::Cow;

use super::shader;

/// What a dispatch does with a storage binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    Read,
    Write,
}

/// Everything that makes one pipeline differ from another. Shapes are no part of it: they travel as uniforms.
///
/// Binding 0 is the uniform parameter block; storage bindings follow from 1 in the order of `bindings`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KernelSpec {
    /// File below `shaders/`.
    pub file: &'static str,
    pub entry: &'static str,
    /// Shared files included before the shader itself: how element types are chosen.
    pub imports: Vec<&'static str>,
    /// `const` lines, also visible to the repetition directive.
    pub constants: Vec<(&'static str, u32)>,
    pub bindings: Vec<Access>,
}

impl KernelSpec {
    pub fn new(file: &'static str, entry: &'static str, bindings: &[Access]) -> Self {
        Self { file, entry, imports: Vec::new(), constants: Vec::new(), bindings: bindings.to_vec() }
    }

    #[must_use]
    pub fn import(mut self, file: &'static str) -> Self {
        self.imports.push(file);
        self
    }

    #[must_use]
    pub fn constant(mut self, name: &'static str, value: u32) -> Self {
        self.constants.push((name, value));
        self
    }

    /// The WGSL that the device gets.
    pub fn source(&self) -> String {
        shader::expand(self.file, &self.imports, &self.constants)
    }

    /// `group_norm.forward` and the like: how profiles and errors name the kernel.
    pub fn label(&self) -> String {
        let mut label = format!("{}.{}", self.file.trim_end_matches(".wgsl"), self.entry);
        for (name, value) in &self.constants {
            label += &format!(" {name}={value}");
        }
        label
    }
}

/// A compiled kernel.
pub struct Kernel {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    pub label: String,
}

impl Kernel {
    pub(super) fn compile(device: &wgpu::Device, spec: &KernelSpec, checks: bool) -> Self {
        let label = spec.label();
        let source = wgpu::ShaderSource::Wgsl(Cow::Owned(spec.source()));
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(&label), source };
        // SAFETY: every kernel stays inside its bindings; the suite runs all of them with the checks on, which is
        // what builds with debug assertions do.
        let module = unsafe { device.create_shader_module_trusted(descriptor, runtime_checks(checks)) };
        let layout = bind_group_layout(device, &label, &spec.bindings);
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(spec.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        Self { pipeline, layout, label }
    }
}

fn runtime_checks(checks: bool) -> wgpu::ShaderRuntimeChecks {
    if checks { wgpu::ShaderRuntimeChecks::checked() } else { wgpu::ShaderRuntimeChecks::unchecked() }
}

fn bind_group_layout(device: &wgpu::Device, label: &str, bindings: &[Access]) -> wgpu::BindGroupLayout {
    let entry = |binding: usize, ty: wgpu::BufferBindingType| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform)];
    for (index, access) in bindings.iter().enumerate() {
        let read_only = *access == Access::Read;
        entries.push(entry(index + 1, wgpu::BufferBindingType::Storage { read_only }));
    }
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries })
}
