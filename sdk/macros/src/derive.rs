//! `#[derive(Wire)]`: a struct beside the struct, with a typed reference for
//! every field.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Field, Fields, FieldsNamed, Ident, Visibility};

use crate::errors::Errors;
use crate::serde_attrs;

/// The whole of `#[derive(Wire)]`.
pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(item) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = Errors::default();
    let code = named_fields(&input, &mut errors)
        .map(|fields| generate(&input, fields, &mut errors))
        .unwrap_or_default();
    let errors = errors.into_tokens();
    quote! { #code #errors }
}

/// A field that travels, and its name on the wire.
struct WireField<'a> {
    field: &'a Field,
    ident: &'a Ident,
    name: String,
}

fn named_fields<'a>(input: &'a DeriveInput, errors: &mut Errors) -> Option<&'a FieldsNamed> {
    for key in ["transparent", "untagged", "into", "from", "tag"] {
        if serde_attrs::has(&input.attrs, key) {
            let text = format!("`Wire` cannot follow `#[serde({key})]`: pass the value whole");
            errors.at(&input.ident, text);
            return None;
        }
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => return Some(fields),
            other => errors.at(
                other,
                "`Wire` is for named fields; other types need no derive, their value is passed whole",
            ),
        },
        _ => errors.at(
            &input.ident,
            "`Wire` is for structs; other types need no derive, their value is passed whole",
        ),
    }
    None
}

fn wire_fields<'a>(
    input: &DeriveInput,
    fields: &'a FieldsNamed,
    errors: &mut Errors,
) -> Vec<WireField<'a>> {
    let rule = serde_attrs::rename_all(&input.attrs, errors);
    let mut found = Vec::new();
    for field in &fields.named {
        let Some(ident) = &field.ident else { continue };
        if serde_attrs::is_skipped(&field.attrs) {
            continue;
        }
        if serde_attrs::has(&field.attrs, "flatten") {
            errors.at(field, "`Wire` cannot follow `#[serde(flatten)]`");
            continue;
        }
        let plain = ident.unraw().to_string();
        let name = serde_attrs::rename(&field.attrs, errors)
            .unwrap_or_else(|| rule.map_or_else(|| plain.clone(), |rule| rule.apply(&plain)));
        found.push(WireField { field, ident, name });
    }
    found
}

fn generate(input: &DeriveInput, fields: &FieldsNamed, errors: &mut Errors) -> TokenStream {
    let fields = wire_fields(input, fields, errors);
    let (name, vis) = (&input.ident, &input.vis);
    let refs = format_ident!("{name}Wire");
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let generics = &input.generics;

    let declared = fields.iter().map(|wire| {
        let (ident, ty) = (wire.ident, &wire.field.ty);
        let vis: &Visibility = &wire.field.vis;
        let docs = format!("Refers to `{}`.", wire.name);
        quote! { #[doc = #docs] #vis #ident: ::amends::Val<#ty> }
    });
    let idents: Vec<_> = fields.iter().map(|wire| wire.ident).collect();
    let names: Vec<_> = fields.iter().map(|wire| wire.name.as_str()).collect();
    let docs = format!("Typed references to the fields of [`{name}`].");
    quote! {
        #[doc = #docs]
        #vis struct #refs #generics #where_clause { #(#declared,)* }

        // By hand, because a derive would ask for `Clone` of the type parameters.
        #[automatically_derived]
        impl #impl_generics ::core::clone::Clone for #refs #type_generics #where_clause {
            fn clone(&self) -> Self {
                Self { #(#idents: ::core::clone::Clone::clone(&self.#idents),)* }
            }
        }

        #[automatically_derived]
        impl #impl_generics ::amends::Wire for #name #type_generics #where_clause {
            type Fields = #refs #type_generics;

            fn refer(value: &::amends::Val<Self>) -> Self::Fields {
                #refs { #(#idents: value.field(#names),)* }
            }

            fn build(fields: Self::Fields) -> ::amends::Val<Self> {
                ::amends::Val::object([#((#names, fields.#idents.untyped()),)*])
            }
        }
    }
}
