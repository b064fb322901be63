// The entry point of kernels that go through their values one quad after the other.
// The kernel's parameters hold `count`, the number of quads; its `element(i)` computes one.
// Dispatch: flat, one invocation per quad.

#import shared/index.wgsl

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.count {
        element(i);
    }
}
