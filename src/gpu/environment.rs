//! Environment variables that Vulkan drivers and layers read once, when the first instance loads them.

use std::{env, sync::Once};

/// Settles the variables that are ours to settle; what the user has set stays.
pub(super) fn settle() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        pin_software_vector_width();
        silence_device_select_layer();
    });
}

/// lavapipe takes its lane count from the host's vectors; 256 bits are eight lanes, the width that its kernels are
/// written for and the fastest one measured.
fn pin_software_vector_width() {
    set_if_absent("LP_NATIVE_VECTOR_WIDTH", "256");
}

/// Mesa's device-select layer asks the desktop which GPU it runs on, to list that one first. Where there is no session
/// it can only complain on stderr; adapters are sorted here anyway.
fn silence_device_select_layer() {
    let asked_for = env::var_os("MESA_VK_DEVICE_SELECT").is_some();
    if cfg!(target_os = "linux") && env::var_os("XDG_RUNTIME_DIR").is_none() && !asked_for {
        set_if_absent("NODEVICE_SELECT", "1");
    }
}

fn set_if_absent(name: &str, value: &str) {
    if env::var_os(name).is_none() {
        // SAFETY: runs once, before the first Vulkan instance, and Rust's own readers of the environment take the
        // same lock as this. No driver, the only foreign reader in this process, is loaded yet.
        unsafe { env::set_var(name, value) };
    }
}
