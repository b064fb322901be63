// Flat element index of an invocation in a dispatch of workgroups laid out in x, then y.
// The dispatch is sized by `flat_workgroups` on the host: 256 invocations per workgroup.

const FLAT_WORKGROUP: u32 = 256u;

fn flat_index(workgroup: vec3<u32>, workgroups: vec3<u32>, local: u32) -> u32 {
    return (workgroup.y * workgroups.x + workgroup.x) * FLAT_WORKGROUP + local;
}
