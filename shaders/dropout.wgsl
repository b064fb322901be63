// out[i] = 0 where a random number is below the threshold, else factor·h[i].
//
// h, out: (count) vectors of four, the first of which is vector `first` of the whole; key: (2).
// Vector i takes the four words of Philox 4×32-10 for counter (i, site, 0, 0): Salmon, Moraes, Dror, Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011.
// Dispatch: flat, one invocation per vector.

#import shared/index.wgsl

struct Params {
    count: u32,
    first: u32,
    site: u32,
    threshold: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> h: array<Quad>; // (count)
@group(0) @binding(2) var<storage, read> key: array<u32>; // (2)
@group(0) @binding(3) var<storage, read_write> out: array<Quad>; // (count)

const MULTIPLIERS: vec2<u32> = vec2<u32>(0xd2511f53u, 0xcd9e8d57u);
const KEY_INCREMENTS: vec2<u32> = vec2<u32>(0x9e3779b9u, 0xbb67ae85u);

// The upper words of the 64-bit products.
fn multiply_high(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let half = vec2<u32>(16u);
    let mask = vec2<u32>(0xffffu);
    let low = (a & mask) * (b & mask);
    let middle = (a >> half) * (b & mask) + (low >> half);
    let other = (a & mask) * (b >> half) + (middle & mask);
    return (a >> half) * (b >> half) + (middle >> half) + (other >> half);
}

fn philox(counter: vec4<u32>, first_key: vec2<u32>) -> vec4<u32> {
    var words = counter;
    var round_key = first_key;
    for (var round = 0u; round < 10u; round++) {
        let high = multiply_high(MULTIPLIERS, words.xz);
        let low = MULTIPLIERS * words.xz;
        words = vec4<u32>(high.y ^ words.y ^ round_key.x, low.y, high.x ^ words.w ^ round_key.y, low.x);
        round_key += KEY_INCREMENTS;
    }
    return words;
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local);
    if i < params.count {
        let words = philox(vec4<u32>(params.first + i, params.site, 0u, 0u), vec2<u32>(key[0], key[1]));
        let kept = words >= vec4<u32>(params.threshold);
        out[i] = pack4(select(vec4<f32>(), params.factor * unpack4(h[i]), kept));
    }
}
