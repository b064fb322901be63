//! What a GPU's compiler makes of the portable kernels, where there is no GPU: Mesa's driver for AMD compiles for a card
//! that is not there, and tells registers, spilling and how many subgroups a processor holds at once.
//!
//! `cargo nextest run gpu_compiler --no-capture` (`cargo test gpu_compiler -- --nocapture`) prints the figures of each
//! kernel. Those of time are the compiler's estimates, in which a loop counts as eight rounds.

use std::{
    env,
    ffi::CStr,
    process::{Command, Stdio},
};

use ash::{khr::pipeline_executable_properties, vk};
use lora_wgpu::gpu::{KernelSpec, Variant};

use crate::{
    shaders::{Used, used_kernels},
    support::Parsed,
    tools::skip_without,
};

/// By this Mesa's driver plays a card, an RX 6800 here.
const FAMILY: (&str, &str) = ("RADV_FORCE_FAMILY", "NAVI21");
/// Fewer subgroups than this on a processor do not hide what memory takes.
const LEAST_SUBGROUPS: u64 = 4;

/// A device without hardware that compiles.
struct NullDevice {
    device: ash::Device,
    properties: pipeline_executable_properties::Device,
    // The library stays loaded while the device is used.
    _entry: ash::Entry,
}

/// Statistics of a compiled kernel, as the driver names them.
struct Statistics(Vec<(String, u64)>);

#[test]
fn portable_kernels_spill_nothing_and_leave_room_for_others() {
    if env::var(FAMILY.0).is_ok() {
        return check_every_kernel();
    }
    // The driver reads the variable when it is loaded, and other tests in this process want another driver.
    let program = env::current_exe().expect("a test has a path");
    let test = concat!(module_path!(), "::portable_kernels_spill_nothing_and_leave_room_for_others");
    let name = test.split_once("::").map_or(test, |(_, name)| name);
    let mut again = Command::new(program);
    let status = again.args([name, "--exact", "--nocapture"]).env(FAMILY.0, FAMILY.1).stdin(Stdio::null()).status();
    assert!(status.expect("a test runs itself").success(), "see above");
}

fn check_every_kernel() {
    let Some(device) = NullDevice::open() else {
        return skip_without("radv");
    };
    let failures: Vec<String> = used_kernels()
        .iter()
        .filter(|kernel| for_gpus(kernel))
        .filter_map(|kernel| {
            let label = format!("{} {}", kernel.spec.label(), kernel.spec.imports.join(" "));
            let statistics = device.compile(&kernel.spec);
            println!("{label}\n    {}", statistics.line());
            statistics.complaint().map(|complaint| format!("{label}: {complaint}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The naive kernels are for checking others, and may spill.
fn for_gpus(kernel: &Used) -> bool {
    kernel.variant != Variant::CpuDriver && !kernel.spec.file.ends_with("_naive.wgsl")
}

impl Statistics {
    fn of(&self, name: &str) -> u64 {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("the driver does not tell `{name}`: {}", self.line())).1
    }

    fn complaint(&self) -> Option<String> {
        let spilled: u64 = ["Spilled VGPRs", "Spilled SGPRs", "Scratch size"].map(|name| self.of(name)).iter().sum();
        let subgroups = self.of("Subgroups per SIMD");
        let complaint = format!("spills {spilled}, room for {subgroups} subgroups");
        (spilled > 0 || subgroups < LEAST_SUBGROUPS).then_some(complaint)
    }

    fn line(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    }
}

// SAFETY of all calls below: handles are used while their parents live; the process ends soon after.
impl NullDevice {
    fn open() -> Option<Self> {
        let entry = unsafe { ash::Entry::load() }.ok()?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
        let instance_info = vk::InstanceCreateInfo::default().application_info(&application);
        let instance = unsafe { entry.create_instance(&instance_info, None) }.ok()?;
        let physical = unsafe { instance.enumerate_physical_devices() }.ok()?;
        let is_null = |&device: &vk::PhysicalDevice| {
            let properties = unsafe { instance.get_physical_device_properties(device) };
            properties.device_name_as_c_str().is_ok_and(|name| name.to_string_lossy().starts_with("Null hardware"))
        };
        let physical = physical.into_iter().find(is_null)?;
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
        let extensions = [pipeline_executable_properties::NAME.as_ptr()];
        let mut tells =
            vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
        let device_info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&extensions)
            .push_next(&mut tells);
        let device = unsafe { instance.create_device(physical, &device_info, None) }.expect("a device to compile for");
        let properties = pipeline_executable_properties::Device::new(&instance, &device);
        Some(Self { device, properties, _entry: entry })
    }

    fn compile(&self, spec: &KernelSpec) -> Statistics {
        let code = Parsed::new(spec, false).to_spirv(false);
        let entry = std::ffi::CString::new(spec.entry).expect("an entry point's name has no zero");
        let pipeline = unsafe {
            let module = self.device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(&code), None);
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module.expect("a shader module"))
                .name(&entry);
            let info = vk::ComputePipelineCreateInfo::default()
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
                .stage(stage)
                .layout(self.layout(spec.bindings.len()));
            let made = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            made.unwrap_or_else(|(_, error)| panic!("{}: {error}", spec.label()))[0]
        };
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        let statistics = unsafe { self.properties.get_pipeline_executable_statistics(&info) }.expect("statistics");
        let named = statistics.iter().map(|statistic| {
            // SAFETY: names end in zero, and all of this driver's figures are 64-bit numbers.
            let (name, value) = unsafe { (CStr::from_ptr(statistic.name.as_ptr()), statistic.value.u64) };
            (name.to_string_lossy().into_owned(), value)
        });
        Statistics(named.collect())
    }

    /// A uniform block, then storage buffers.
    fn layout(&self, storage_buffers: usize) -> vk::PipelineLayout {
        let binding = |index: usize| {
            let ty = if index == 0 { vk::DescriptorType::UNIFORM_BUFFER } else { vk::DescriptorType::STORAGE_BUFFER };
            vk::DescriptorSetLayoutBinding::default()
                .binding(index as u32)
                .descriptor_type(ty)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        };
        let bindings: Vec<_> = (0..=storage_buffers).map(binding).collect();
        let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        let set = [unsafe { self.device.create_descriptor_set_layout(&set, None) }.expect("a set layout")];
        let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&set);
        unsafe { self.device.create_pipeline_layout(&layout, None) }.expect("a pipeline layout")
    }
}
