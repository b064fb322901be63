//! A kernel as shader compilers see it.

use std::{io::Write, process::Command};

use lora_wgpu::gpu::{Access, KernelSpec};
use naga::{
    AddressSpace, GlobalVariable, Handle, Module, ShaderStage, StorageAccess,
    back::{hlsl, msl, spv},
    proc::{BoundsCheckPolicies, BoundsCheckPolicy, Layouter},
    valid::{Capabilities, FunctionInfo, ModuleInfo, ValidationFlags, Validator},
};

/// What WebGPU has without any feature, though naga makes a capability of it: `unpack2x16float`.
const ALWAYS_THERE: Capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;

/// A kernel that naga has parsed and validated.
pub struct Parsed {
    label: String,
    entry: &'static str,
    on_cpu: bool,
    module: Module,
    info: ModuleInfo,
}

impl Parsed {
    /// Parses and validates, with no feature but those of the CPU drivers' kernels where it is one `on_cpu`: subgroup
    /// operations and 64-bit words.
    pub fn new(spec: &KernelSpec, on_cpu: bool) -> Self {
        let (label, source) = (spec.label(), spec.source());
        let module = naga::front::wgsl::parse_str(&source)
            .unwrap_or_else(|error| panic!("{label}: {}", error.emit_to_string(&source)));
        let mut features = ALWAYS_THERE;
        features.set(Capabilities::SUBGROUP | Capabilities::SHADER_INT64, on_cpu);
        let info = Validator::new(ValidationFlags::all(), features)
            .validate(&module)
            .unwrap_or_else(|error| panic!("{label}: {}", error.emit_to_string(&source)));
        Self { label, entry: spec.entry, on_cpu, module, info }
    }

    /// Names of all entry points of the file.
    pub fn entries(&self) -> impl Iterator<Item = &str> {
        self.module.entry_points.iter().map(|entry| entry.name.as_str())
    }

    fn entry_index(&self) -> usize {
        let index = self.module.entry_points.iter().position(|entry| entry.name == self.entry);
        index.unwrap_or_else(|| panic!("{}: no such entry point", self.label))
    }

    /// The globals that the entry point uses.
    fn globals(&self) -> impl Iterator<Item = (Handle<GlobalVariable>, &GlobalVariable)> {
        let uses: &FunctionInfo = self.info.get_entry_point(self.entry_index());
        self.module.global_variables.iter().filter(|(handle, _)| !uses[*handle].is_empty())
    }

    /// Binding number and access of the storage buffers in use, in the order of their numbers.
    pub fn storage_bindings(&self) -> Vec<(u32, Access)> {
        let storage = self.globals().filter_map(|(_, global)| {
            let AddressSpace::Storage { access } = global.space else { return None };
            let binding = global.binding.unwrap_or_else(|| panic!("{}: a buffer without binding", self.label));
            assert_eq!(binding.group, 0, "{}: bindings lie in group 0", self.label);
            let written = access.contains(StorageAccess::STORE);
            Some((binding.binding, if written { Access::Write } else { Access::Read }))
        });
        let mut bindings: Vec<_> = storage.collect();
        bindings.sort_by_key(|(binding, _)| *binding);
        bindings
    }

    /// Bytes of the uniform block at binding 0.
    pub fn params_bytes(&self) -> Option<u32> {
        let uniform = self.globals().find(|(_, global)| matches!(global.space, AddressSpace::Uniform));
        let (_, global) = uniform?;
        assert_eq!(global.binding.map(|binding| binding.binding), Some(0), "{}: parameters", self.label);
        Some(self.bytes_of(global))
    }

    /// Bytes that the workgroup shares.
    pub fn workgroup_memory(&self) -> u32 {
        let shared = self.globals().filter(|(_, global)| matches!(global.space, AddressSpace::WorkGroup));
        shared.map(|(_, global)| self.bytes_of(global)).sum()
    }

    fn bytes_of(&self, global: &GlobalVariable) -> u32 {
        let mut layouter = Layouter::default();
        layouter.update(self.module.to_ctx()).expect("a valid module has a layout");
        layouter[global.ty].size
    }

    /// Invocations of a workgroup.
    pub fn invocations(&self) -> u32 {
        self.module.entry_points[self.entry_index()].workgroup_size.iter().product()
    }

    fn pipeline_entry(&self) -> Option<(ShaderStage, String)> {
        Some((ShaderStage::Compute, self.entry.to_owned()))
    }

    /// Vulkan 1.1's SPIR-V, with runtime checks or, as in release builds, without.
    pub fn to_spirv(&self, checks: bool) -> Vec<u32> {
        let mut options = spv::Options { lang_version: (1, 3), ..Default::default() };
        if !checks {
            let unchecked = BoundsCheckPolicy::Unchecked;
            options.bounds_check_policies =
                BoundsCheckPolicies { index: unchecked, buffer: unchecked, ..Default::default() };
            options.zero_initialize_workgroup_memory = spv::ZeroInitializeWorkgroupMemoryMode::None;
            options.force_loop_bounding = false;
        }
        let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: self.entry.to_owned() };
        let written = spv::write_vec(&self.module, &self.info, &options, Some(&pipeline));
        written.unwrap_or_else(|error| panic!("{}: SPIR-V: {error}", self.label))
    }

    pub fn to_msl(&self) {
        let options = msl::Options { lang_version: (2, 4), ..Default::default() };
        let pipeline = msl::PipelineOptions { entry_point: self.pipeline_entry(), ..Default::default() };
        let written = msl::write_string(&self.module, &self.info, &options, &pipeline);
        written.unwrap_or_else(|error| panic!("{}: MSL: {error}", self.label));
    }

    /// Shader model 5.1, the oldest that DX12 takes; subgroup operations came with 6.0.
    pub fn to_hlsl(&self) {
        let shader_model = if self.on_cpu { hlsl::ShaderModel::V6_0 } else { hlsl::ShaderModel::V5_1 };
        let options = hlsl::Options { shader_model, ..Default::default() };
        let pipeline = hlsl::PipelineOptions { entry_point: self.pipeline_entry() };
        let mut text = String::new();
        let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(&self.module, &self.info, None);
        written.unwrap_or_else(|error| panic!("{}: HLSL: {error}", self.label));
    }
}

/// Whether Dawn's WGSL compiler is on the path.
pub fn tint_is_installed() -> bool {
    Command::new("tint").arg("--help").output().is_ok()
}

/// Fails where tint rejects the kernel. It wants subgroup operations announced by a line that naga refuses.
pub fn tint_accepts(spec: &KernelSpec) {
    let (label, source) = (spec.label(), spec.source());
    let announced = if source.contains("subgroup") { "enable subgroups;\n" } else { "" };
    let mut file = tempfile::Builder::new().suffix(".wgsl").tempfile().expect("a temporary file");
    file.write_all(format!("{announced}{source}").as_bytes()).expect("a temporary file takes a shader");
    let output = Command::new("tint").args(["--format", "wgsl"]).arg(file.path()).output().expect("tint runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{label}: {complaint}");
}
