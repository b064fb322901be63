// The factor that keeps f16 gradients in range (Micikevicius et al., arXiv 1710.03740), moved as torch.amp.GradScaler
// moves it: halved where gradients were not finite, doubled after `interval` updates in a row whose gradients were.
//
// state: (scale, updates since it changed, 0, 0); clip: grad_norm's (norm, factor, finite, scale).
// Dispatch: one invocation.

// Beyond 2^24 gradients in f16 have nothing left to gain.
const LARGEST: f32 = 16777216.0;

struct Params {
    interval: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> state: vec4<f32>;
@group(0) @binding(2) var<storage, read> clip: vec4<f32>;

@compute @workgroup_size(1)
fn advance() {
    let scale = state.x;
    let updates = state.y + 1.0;
    if clip.z == 0.0 {
        state = vec4<f32>(0.5 * scale, 0.0, 0.0, 0.0);
    } else if updates >= params.interval {
        state = vec4<f32>(min(2.0 * scale, LARGEST), 0.0, 0.0, 0.0);
    } else {
        state = vec4<f32>(scale, updates, 0.0, 0.0);
    }
}
