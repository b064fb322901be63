//! Tools that some checks need, and pass without: unless the variable `LORA_WGPU_REQUIRE` names them.

use std::env;

const VARIABLE: &str = "LORA_WGPU_REQUIRE";
/// A software Vulkan driver with subgroups of eight, Mesa's compiler for AMD, and Dawn's compiler for WGSL.
const TOOLS: [&str; 3] = ["lavapipe", "radv", "tint"];

/// Notes that a check is left out because `tool` is not here.
///
/// # Panics
/// Where `LORA_WGPU_REQUIRE`, names with commas between them, wants the tool; and where it holds a name that is none.
pub fn skip_without(tool: &str) {
    let required = env::var(VARIABLE).unwrap_or_default();
    for name in required.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        assert!(TOOLS.contains(&name), "{VARIABLE} names {name:?}; there are {TOOLS:?}");
        assert_ne!(name, tool, "{VARIABLE} wants this tool, and it is not here");
    }
    println!("skipped: {tool} is not here");
}
