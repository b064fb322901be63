// Sums and maxima over a workgroup, always in the same order.
// The including file declares `const REDUCE_LANES: u32`: its workgroup size, a power of two.
// Both contain barriers: call them in uniform control flow.

var<workgroup> reduce_slots: array<vec2<f32>, REDUCE_LANES>;

fn reduce_sum(local: u32, value: vec2<f32>) -> vec2<f32> {
    reduce_slots[local] = value;
    workgroupBarrier();
    for (var reach = REDUCE_LANES / 2u; reach > 0u; reach /= 2u) {
        if local < reach {
            reduce_slots[local] += reduce_slots[local + reach];
        }
        workgroupBarrier();
    }
    let total = reduce_slots[0];
    // The slots may be written again only once everybody has read.
    workgroupBarrier();
    return total;
}

fn reduce_max(local: u32, value: f32) -> f32 {
    reduce_slots[local].x = value;
    workgroupBarrier();
    for (var reach = REDUCE_LANES / 2u; reach > 0u; reach /= 2u) {
        if local < reach {
            reduce_slots[local].x = max(reduce_slots[local].x, reduce_slots[local + reach].x);
        }
        workgroupBarrier();
    }
    let largest = reduce_slots[0].x;
    workgroupBarrier();
    return largest;
}

fn horizontal_sum(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}
