//! Every kernel that a recorded op launches, checked without a device: it is valid WGSL within the features of its
//! variant, goes through naga to SPIR-V, MSL and HLSL (and through tint where that is installed), and its bindings,
//! parameters and limits are what the Rust side says.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use lora_wgpu::{
    gpu::{Access, Caps, DeviceKind, KernelSpec, PARAMS_STRIDE, Variant, shader},
    tape::Plan,
};

use crate::{
    catalogue,
    support::{Parsed, tint_accepts, tint_is_installed},
    tools::skip_without,
};

/// WebGPU's default limits, which the naive and the portable variant keep.
const MAX_INVOCATIONS: u32 = 256;
const MAX_WORKGROUP_MEMORY: u32 = 16 << 10;
const MAX_STORAGE_BUFFERS: usize = 8;

/// A kernel as some launch uses it.
pub struct Used {
    pub spec: KernelSpec,
    pub variant: Variant,
    params_bytes: usize,
}

/// The kernels of all ops in all variants, each once, under the strictest variant that uses it.
pub fn used_kernels() -> Vec<Used> {
    let mut used: Vec<Used> = Vec::new();
    let mut known: HashMap<KernelSpec, usize> = HashMap::new();
    for variant in [Variant::Naive, Variant::Portable, Variant::CpuDriver] {
        for tape in catalogue::tapes() {
            let plan = Plan::new("catalogue", tape, &caps(variant)).expect("small tapes fit");
            for launch in plan.launches() {
                let (spec, params_bytes) = (launch.kernel.clone(), launch.params.len());
                let index = *known.entry(spec.clone()).or_insert_with(|| {
                    used.push(Used { spec, variant, params_bytes });
                    used.len() - 1
                });
                assert_eq!(used[index].params_bytes, params_bytes, "{}: parameter blocks differ", launch.label);
            }
        }
    }
    used
}

/// A device with WebGPU's default limits; for the CPU-driver variant, one with subgroups of eight and 64-bit words.
fn caps(variant: Variant) -> Caps {
    let on_cpu = variant == Variant::CpuDriver;
    Caps {
        kind: if on_cpu { DeviceKind::Cpu } else { DeviceKind::Discrete },
        variant,
        subgroup: if on_cpu { (8, 8) } else { (0, 0) },
        shader_int64: on_cpu,
        shader_f16: false,
        timestamps: false,
        max_binding: 128 << 20,
        max_buffer: 256 << 20,
        max_workgroup_memory: MAX_WORKGROUP_MEMORY,
        offset_alignment: 256,
    }
}

/// Calls `check` on every used kernel.
fn for_each_kernel(check: impl Fn(&Used, &Parsed)) {
    let used = used_kernels();
    assert!(!used.is_empty());
    for kernel in &used {
        let parsed = Parsed::new(&kernel.spec, kernel.variant == Variant::CpuDriver);
        check(kernel, &parsed);
    }
}

#[test]
fn bindings_are_those_that_the_rust_side_declares() {
    for_each_kernel(|kernel, parsed| {
        let declared: Vec<(u32, Access)> =
            kernel.spec.bindings.iter().enumerate().map(|(index, access)| (index as u32 + 1, *access)).collect();
        assert_eq!(parsed.storage_bindings(), declared, "{}: storage bindings", kernel.spec.label());
    });
}

#[test]
fn parameter_blocks_have_the_size_of_their_struct() {
    for_each_kernel(|kernel, parsed| {
        let label = kernel.spec.label();
        assert_eq!(parsed.params_bytes(), Some(kernel.params_bytes as u32), "{label}: parameter block");
        assert!(kernel.params_bytes as u64 <= PARAMS_STRIDE, "{label}: parameter block too large");
    });
}

#[test]
fn naive_and_portable_kernels_keep_webgpus_default_limits() {
    for_each_kernel(|kernel, parsed| {
        if kernel.variant == Variant::CpuDriver {
            return;
        }
        let label = kernel.spec.label();
        assert!(parsed.invocations() <= MAX_INVOCATIONS, "{label}: {} invocations", parsed.invocations());
        let memory = parsed.workgroup_memory();
        assert!(memory <= MAX_WORKGROUP_MEMORY, "{label}: {memory} bytes of workgroup memory");
        assert!(kernel.spec.bindings.len() <= MAX_STORAGE_BUFFERS, "{label}: too many storage buffers");
    });
}

#[test]
fn kernels_translate_to_every_shading_language() {
    for_each_kernel(|_, parsed| {
        parsed.to_spirv(true);
        parsed.to_msl();
        parsed.to_hlsl();
    });
}

/// naga is lenient about uniform control flow, a browser's compiler is not.
#[test]
fn tint_accepts_every_kernel_where_it_is_installed() {
    if !tint_is_installed() {
        return skip_without("tint");
    }
    // Standard WGSL has no 64-bit words.
    let standard = |kernel: &&Used| !kernel.spec.source().contains("u64");
    for kernel in used_kernels().iter().filter(standard) {
        tint_accepts(&kernel.spec);
    }
}

#[test]
fn no_shader_is_dead() {
    let used = used_kernels();
    let entries: BTreeSet<(&str, &str)> = used.iter().map(|kernel| (kernel.spec.file, kernel.spec.entry)).collect();
    let mut dead = Vec::new();
    for file in shader::names() {
        let Some(kernel) = used.iter().find(|kernel| kernel.spec.file == file) else {
            dead.push(file.to_owned());
            continue;
        };
        let parsed = Parsed::new(&kernel.spec, true);
        let unused = parsed.entries().filter(|entry| !entries.contains(&(file, *entry)));
        dead.extend(unused.map(|entry| format!("{file}: {entry}")));
    }
    assert!(dead.is_empty(), "no recorded op uses:\n{}", dead.join("\n"));
}

#[test]
fn no_shared_part_is_dead() {
    let shaders = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut imported: BTreeSet<String> =
        used_kernels().iter().flat_map(|kernel| kernel.spec.imports.iter().map(|part| part.to_string())).collect();
    let mut parts = BTreeSet::new();
    for folder in [shaders.clone(), shaders.join("shared")] {
        for entry in fs::read_dir(folder).expect("the shaders lie in the repository") {
            let path = entry.expect("a readable folder").path();
            if path.extension().is_none_or(|extension| extension != "wgsl") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a readable shader");
            imported.extend(
                text.lines()
                    .filter_map(|line| line.strip_prefix("#import ").or_else(|| line.strip_prefix("#include ")))
                    .map(|part| part.trim().to_owned()),
            );
            if path.parent().is_some_and(|folder| folder.ends_with("shared")) {
                parts.insert(format!("shared/{}", path.file_name().expect("a file").to_string_lossy()));
            }
        }
    }
    assert_eq!(parts.difference(&imported).collect::<Vec<_>>(), Vec::<&String>::new(), "shared parts nobody imports");
}
