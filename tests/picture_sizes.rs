//! The size of a picture or of a latent is a `Size`: nothing that is called one is a tuple, whose order is anybody's guess,
//! and no width stands beside a height in the parameters of a function.

#[path = "shared/files.rs"]
mod files;

use syn::{FnArg, Ident, Pat, PatType, ReturnType, Signature, Type, visit::Visit};

/// What sizes are called: alone, or behind an underscore.
const NAMES: [&str; 3] = ["size", "resolution", "dimensions"];

/// Where numbers are shapes of tensors and no sizes of pictures, and the type's own file.
const ELSEWHERE: [&str; 5] = ["src/gpu", "src/tape", "src/ops", "src/nn", "src/size.rs"];

#[test]
fn sizes_are_no_tuples() {
    let mut wrong = Vec::new();
    for path in
        files::below("src", "rs").into_iter().filter(|path| !ELSEWHERE.iter().any(|start| path.starts_with(start)))
    {
        let found = tuples(&files::text(&path));
        wrong.extend(found.into_iter().map(|name| format!("{}: {name}", path.display())));
    }
    assert!(wrong.is_empty(), "take `size::Size`:\n{}", wrong.join("\n"));
}

#[test]
fn tuples_are_found_wherever_they_stand() {
    let found = tuples(
        "struct A { size: (usize, usize), latent_size: [u32; 2], sizes: (usize, usize), pair: (usize, usize) }
         enum B { C { resolution: Option<(u32, u32)> } }
         impl A { fn f(&self, size: (usize, usize), (width, height): (u32, u32)) -> (usize, usize) { todo!() } }
         fn dimensions() -> (u32, u32) { (1, 1) }
         fn g(height: usize, width: usize, size: usize, other: &[usize]) {}
         fn h(width: usize, context_width: usize) -> f32 { 1.0 }",
    );
    let expected = ["size", "latent_size", "resolution", "size", "(width, height)", "dimensions", "width and height"];
    assert_eq!(found, expected);
}

/// What in `text` is a size and a tuple.
fn tuples(text: &str) -> Vec<String> {
    let mut found = Tuples::default();
    found.visit_file(&syn::parse_file(text).expect("Rust that compiles"));
    found.0
}

#[derive(Default)]
struct Tuples(Vec<String>);

impl Tuples {
    fn note(&mut self, name: &Ident, type_: &Type) {
        let name = name.to_string();
        let is_size = NAMES.iter().any(|word| name == *word || name.ends_with(&format!("_{word}")));
        if is_size && holds_pair(type_) {
            self.0.push(name);
        }
    }
}

impl Visit<'_> for Tuples {
    fn visit_field(&mut self, field: &syn::Field) {
        if let Some(name) = &field.ident {
            self.note(name, &field.ty);
        }
    }

    fn visit_signature(&mut self, signature: &Signature) {
        let mut names = Vec::new();
        for input in &signature.inputs {
            let FnArg::Typed(PatType { pat, ty, .. }) = input else { continue };
            match &**pat {
                Pat::Ident(name) => {
                    self.note(&name.ident, ty);
                    names.push(name.ident.to_string());
                }
                Pat::Tuple(pair) => {
                    let of_pair: Vec<String> = pair.elems.iter().filter_map(identifier).collect();
                    if has_both_sides(&of_pair) {
                        self.0.push(format!("({})", of_pair.join(", ")));
                    }
                }
                _ => {}
            }
        }
        if has_both_sides(&names) {
            self.0.push("width and height".to_owned());
        }
        if let ReturnType::Type(_, type_) = &signature.output {
            self.note(&signature.ident, type_);
        }
    }
}

fn identifier(pattern: &Pat) -> Option<String> {
    match pattern {
        Pat::Ident(name) => Some(name.ident.to_string()),
        _ => None,
    }
}

fn has_both_sides(names: &[String]) -> bool {
    ["width", "height"].iter().all(|side| names.iter().any(|name| name == side))
}

/// Whether a type is, or holds, a tuple or an array of two numbers.
fn holds_pair(type_: &Type) -> bool {
    struct Pair(bool);
    impl Visit<'_> for Pair {
        fn visit_type_tuple(&mut self, tuple: &syn::TypeTuple) {
            self.0 |= tuple.elems.len() == 2 && tuple.elems.iter().all(is_whole);
            syn::visit::visit_type_tuple(self, tuple);
        }

        fn visit_type_array(&mut self, array: &syn::TypeArray) {
            let two = matches!(&array.len, syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(length), .. })
                if length.base10_digits() == "2");
            self.0 |= two && is_whole(&array.elem);
        }
    }
    let mut pair = Pair(false);
    pair.visit_type(type_);
    pair.0
}

fn is_whole(type_: &Type) -> bool {
    matches!(type_, Type::Path(path) if ["usize", "u32", "u64", "i32"].iter().any(|name| path.path.is_ident(name)))
}
