// D-adapted Adam (Defazio and Mishchenko 2023, arXiv 2301.07733), as dadaptation. With the d of the step before:
//
//     numerator_rate·numerator_term = dlr·g·s/(√v + eps) with the old s and v;  m_rate = dlr·(1 − beta1)
//     v_rate = 1 − beta2;  s_rate = dlr·(1 − beta3)
//     N ← beta3·N + (1 − beta3)·numerator;  d' = N/((1 − beta3)·denominator);  d ← max(d, min(d', d·growth_rate))
//     movement = m/(√v + eps)
//
// Shapes, dispatch and the rest: shared/distance.wgsl.

#import shared/distance.wgsl

fn rates(_d: f32, dlr: f32) -> Numbers {
    var step: Numbers;
    step.m_rate = dlr * settings.one_minus_beta1;
    step.v_rate = settings.one_minus_beta2;
    step.s_rate = dlr * settings.one_minus_beta3;
    step.numerator_rate = dlr;
    return step;
}

fn numerator_term(i: u32, gradient: vec4<f32>, eps: f32) -> vec4<f32> {
    return gradient * (s[i] / (sqrt(v[i]) + eps));
}

fn advanced(last: Distance, numerator: f32, denominator: f32) -> Distance {
    var after = last;
    after.numerator = of_any.beta3 * last.numerator + of_any.one_minus_beta3 * numerator;
    let estimate = after.numerator / (of_any.one_minus_beta3 * denominator);
    after.d = max(last.d, min(estimate, last.d * of_any.growth_rate));
    return after;
}

fn movement(i: u32, now: Numbers) -> vec4<f32> {
    return first[i] / (sqrt(second[i]) + now.eps);
}
