// out[i, :] = [a[i, :], b[i, :]], and the two halves of a gradient.
//
// join copies `part`: (pixels, Cp) into channels first … of `whole`: (pixels, C); split the other way round.
// Four channels at a time. Dispatch: flat over the quads of `part`.

#import shared/index.wgsl

struct Params {
    pixels: u32,
    part_quads: u32, // Cp / 4
    whole_quads: u32, // C / 4
    first_quad: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Quad>; // join: part, split: whole
@group(0) @binding(2) var<storage, read_write> result: array<Quad>; // join: whole, split: part

fn whole_index(i: u32) -> u32 {
    return i / params.part_quads * params.whole_quads + params.first_quad + i % params.part_quads;
}

@compute @workgroup_size(256)
fn join(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.pixels * params.part_quads {
        result[whole_index(i)] = source[i];
    }
}

@compute @workgroup_size(256)
fn split(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.pixels * params.part_quads {
        result[i] = source[whole_index(i)];
    }
}
