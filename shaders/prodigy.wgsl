// Prodigy (Mishchenko and Defazio 2023, arXiv 2306.06101), as prodigyopt. With the d of the step before:
//
//     numerator_rate·numerator_term = (d/d0)·dlr·g·(p0 − p);  m_rate = d·(1 − beta1);  v_rate = d²·(1 − beta2)
//     s_rate = (d/d0)·(dlr, or d where safeguarded)
//     N ← beta3·N + numerator;  d' = d_coef·N/denominator;  d ← max(d, d') while it is d0
//     d_max ← max(d_max, d');  d ← min(d_max, d·growth_rate)
//     movement = dlr·m/(√v + d·eps), dlr with the old d, d the new one
//
// Shapes, dispatch and the rest: shared/distance.wgsl.

#import shared/distance.wgsl

// Besides measure's other bindings; parameters as they began.
@group(0) @binding(8) var<storage, read> p0: array<vec4<f32>>; // (count)

fn rates(d: f32, dlr: f32) -> Numbers {
    let ratio = d / settings.d0;
    var step: Numbers;
    step.m_rate = d * settings.one_minus_beta1;
    step.v_rate = d * d * settings.one_minus_beta2;
    step.s_rate = ratio * select(dlr, d, settings.safeguards != 0.0);
    step.numerator_rate = ratio * dlr;
    return step;
}

fn numerator_term(i: u32, gradient: vec4<f32>, _eps: f32) -> vec4<f32> {
    return gradient * (p0[i] - parameters[i]);
}

fn advanced(last: Distance, numerator: f32, denominator: f32) -> Distance {
    var after = last;
    after.numerator = of_any.beta3 * last.numerator + numerator;
    let estimate = of_any.d_coef * after.numerator / denominator;
    let d = select(last.d, max(last.d, estimate), last.d == of_any.d0);
    after.d_max = max(last.d_max, estimate);
    after.d = min(after.d_max, d * of_any.growth_rate);
    return after;
}

fn movement(i: u32, now: Numbers) -> vec4<f32> {
    return now.dlr * (first[i] / (sqrt(second[i]) + next.d * now.eps));
}
