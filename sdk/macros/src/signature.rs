//! What the signatures of a step and of its compensation must look like.
//!
//! Only the shape is checked here, because a macro cannot see through type
//! aliases; the types themselves are compared by the compiler in the code
//! that `expand` writes.

use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{FnArg, GenericArgument, PathArguments, ReturnType, Signature, Type, TypeReference};

use crate::errors::Errors;
use crate::parse::Effects;

/// The types of a step.
pub(crate) struct Types {
    pub(crate) input: Type,
    pub(crate) output: Type,
}

/// The parameters of a compensation, confirm or cancel, for the place of type errors.
pub(crate) struct PartnerTypes {
    pub(crate) input: Type,
    pub(crate) output: Type,
}

/// Checks `async fn reserve(&self, conn: &mut Conn, req: Req) -> StepResult<Out>`.
pub(crate) fn step(sig: &Signature, effects: Effects, errors: &mut Errors) -> Option<Types> {
    forward(sig, &format!("the step `{}`", sig.ident), effects, errors)
}

/// Checks `async fn freeze(&self, conn: &mut Conn, req: Req) -> StepResult<Held>`.
pub(crate) fn tcc(sig: &Signature, errors: &mut Errors) -> Option<Types> {
    let role = format!("the try `{}`", sig.ident);
    if let [context, ..] = typed(sig).as_slice()
        && last_ident(context) == "StepCx"
    {
        let text = format!(
            "{role} works on `conn: &mut Conn`: what it holds is in the service's own database"
        );
        errors.at(context, text);
        return None;
    }
    forward(sig, &role, Effects::Local, errors)
}

/// Checks `async fn pay(&self, conn: &mut Conn, cmd: Pay) -> StepResult<Paid>`.
pub(crate) fn half(sig: &Signature, errors: &mut Errors) -> Option<Types> {
    let role = format!("the half message `{}`", sig.ident);
    if let [context, ..] = typed(sig).as_slice()
        && ["HalfCx", "StepCx"].contains(&last_ident(context).as_str())
    {
        let text = format!(
            "{role} works on `conn: &mut Conn`; \
             if its work lies outside of the database, name a `check_back`"
        );
        errors.at(context, text);
        return None;
    }
    forward(sig, &role, Effects::Local, errors)
}

/// Checks `async fn charge(&self, cx: &HalfCx, message: &Paid) -> StepResult<Out>`.
pub(crate) fn external_half(sig: &Signature, errors: &mut Errors) -> Option<Types> {
    let role = format!("the half message `{}`", sig.ident);
    let name = &sig.ident;
    let expected = format!("async fn {name}(&self, cx: &HalfCx, message: &..) -> StepResult<..>");
    let ok = common(sig, &role, errors);
    let output = output_type(sig, &role, errors);
    let params = typed(sig);
    let [context, message] = params.as_slice() else {
        errors.at(&sig.ident, format!("{role} must be `{expected}`"));
        return None;
    };
    if referred(context).is_none() {
        let why = "with a `check_back` the work lies outside of the database";
        errors.at(context, format!("{role} must be `{expected}`: {why}"));
        return None;
    }
    let Some(input) = referred(message) else {
        let why = "the message is there before the work";
        errors.at(message, format!("{role} must be `{expected}`: {why}"));
        return None;
    };
    let output = output?;
    ok.then_some(Types { input, output })
}

/// Checks `async fn was_charged(&self, cx: &HalfCx) -> StepResult<HalfVerdict>`.
pub(crate) fn check_back(sig: &Signature, of: &Signature, errors: &mut Errors) -> Option<()> {
    let name = &sig.ident;
    let role = format!("`{name}`, the check-back of `{}`,", of.ident);
    let expected = format!("async fn {name}(&self, cx: &HalfCx) -> StepResult<HalfVerdict>");
    let mut ok = common(sig, &role, errors);
    if let Some(output) = output_type(sig, &role, errors)
        && last_ident(&output) != "HalfVerdict"
    {
        errors.at(output, format!("{role} must be `{expected}`"));
        ok = false;
    }
    if !matches!(typed(sig).as_slice(), [context] if referred(context).is_some()) {
        errors.at(&sig.ident, format!("{role} must be `{expected}`"));
        ok = false;
    }
    ok.then_some(())
}

fn forward(sig: &Signature, role: &str, effects: Effects, errors: &mut Errors) -> Option<Types> {
    let mut ok = common(sig, role, errors);
    let output = output_type(sig, role, errors);
    let first = effects.first_parameter();
    let params = typed(sig);
    let input = match params.as_slice() {
        [context, input] => {
            ok &= context_type(context, effects, role, errors);
            Some((*input).clone())
        }
        [only] if !is_reference(only) => {
            let text = format!("{role} lacks `{first}` before its request");
            errors.at(only, text);
            None
        }
        [_, _, extra, ..] => {
            let text = format!("{role} takes `&self, {first}` and one request, nothing more");
            errors.at(extra, text);
            None
        }
        _ => {
            let text = format!("{role} takes `&self, {first}` and a request");
            errors.at(&sig.ident, text);
            None
        }
    };
    if let Some(Type::Reference(reference)) = &input {
        let text = format!("{role} owns its request: take it by value");
        errors.at_span(reference.and_token.span(), text);
        ok = false;
    }
    let (input, output) = (input?, output?);
    ok.then_some(Types { input, output })
}

/// Checks `async fn release(&self, conn: &mut Conn, req: &Req, done: &Out) -> StepResult<()>`,
/// which is the compensation, confirm or cancel of `of`.
pub(crate) fn partner(
    sig: &Signature,
    (what, of): (&str, &Signature),
    types: &Types,
    effects: Effects,
    errors: &mut Errors,
) -> Option<PartnerTypes> {
    let role = format!("`{}`, the {what} of `{}`,", sig.ident, of.ident);
    let expected = expected_partner(sig, types, effects);
    let mut ok = common(sig, &role, errors);
    if let Some(output) = output_type(sig, &role, errors)
        && !matches!(&output, Type::Tuple(tuple) if tuple.elems.is_empty())
    {
        errors.at(
            output,
            format!("{role} must be `{expected}`: it answers nothing"),
        );
        ok = false;
    }
    let params = typed(sig);
    let [context, input, output] = params.as_slice() else {
        errors.at(&sig.ident, format!("{role} must be `{expected}`"));
        return None;
    };
    ok &= context_type(context, effects, &role, errors);
    let input = referred(input).or_else(|| {
        let text = format!("{role} must be `{expected}`: it gets the input by reference");
        errors.at(input, text);
        None
    });
    let output = match effects {
        Effects::Local => referred(output),
        Effects::External => option_of(output).and_then(referred),
    }
    .or_else(|| {
        let why = match effects {
            Effects::Local => "it gets the output by reference",
            Effects::External => "it may run although the step never answered",
        };
        errors.at(output, format!("{role} must be `{expected}`: {why}"));
        None
    });
    let (input, output) = (input?, output?);
    ok.then_some(PartnerTypes { input, output })
}

/// Checks `async fn award(&self, conn: &mut Conn, msg: Message<Body>) -> StepResult<()>`
/// and returns the type of the body.
pub(crate) fn message(sig: &Signature, effects: Effects, errors: &mut Errors) -> Option<Type> {
    let role = format!("the handler `{}`", sig.ident);
    let first = match effects {
        Effects::Local => "conn: &mut Conn",
        Effects::External => "cx: &MessageCx",
    };
    let expected = format!(
        "async fn {}(&self, {first}, msg: Message<..>) -> StepResult<()>",
        sig.ident
    );
    let mut ok = common(sig, &role, errors);
    if let Some(output) = output_type(sig, &role, errors)
        && !matches!(&output, Type::Tuple(tuple) if tuple.elems.is_empty())
    {
        errors.at(
            output,
            format!("{role} must be `{expected}`: it answers nothing"),
        );
        ok = false;
    }
    let params = typed(sig);
    let [context, message] = params.as_slice() else {
        errors.at(&sig.ident, format!("{role} must be `{expected}`"));
        return None;
    };
    let mutable = match context {
        Type::Reference(reference) => Some(reference.mutability.is_some()),
        _ => None,
    };
    if mutable != Some(effects == Effects::Local) {
        let why = match (effects, mutable) {
            (Effects::Local, Some(false)) if last_ident(context) == "MessageCx" => {
                "; if its effects lie outside the database, say `effects = external`"
            }
            (Effects::External, Some(true)) => "; with external effects there is no connection",
            _ => "",
        };
        errors.at(context, format!("{role} takes `{first}` here{why}"));
        ok = false;
    }
    let body = (last_ident(message) == "Message" && !is_reference(message))
        .then(|| first_argument(message))
        .flatten();
    let Some(body) = body else {
        errors.at(
            message,
            format!("{role} takes a `Message<..>` here, by value"),
        );
        return None;
    };
    ok.then(|| body.clone())
}

impl Effects {
    fn first_parameter(self) -> &'static str {
        match self {
            Self::Local => "conn: &mut Conn",
            Self::External => "cx: &StepCx",
        }
    }
}

fn common(sig: &Signature, role: &str, errors: &mut Errors) -> bool {
    let mut ok = true;
    if sig.asyncness.is_none() {
        errors.at(sig.fn_token, format!("{role} must be an `async fn`"));
        ok = false;
    }
    match sig.receiver() {
        Some(me) if me.reference.is_some() && me.mutability.is_none() => {}
        Some(me) => {
            errors.at(
                me,
                format!("{role} takes `&self`: calls run at the same time"),
            );
            ok = false;
        }
        None => {
            errors.at(&sig.ident, format!("{role} takes `&self`"));
            ok = false;
        }
    }
    if let Some(param) = sig.generics.type_params().next() {
        errors.at(
            param,
            format!("{role} has no type parameters: its types travel"),
        );
        ok = false;
    }
    ok
}

/// `&mut Conn` for local effects, `&StepCx` for external ones.
fn context_type(found: &Type, effects: Effects, role: &str, errors: &mut Errors) -> bool {
    let mutable = match found {
        Type::Reference(reference) => Some(reference.mutability.is_some()),
        _ => None,
    };
    let text = match (effects, mutable) {
        (Effects::Local, Some(true)) | (Effects::External, Some(false)) => return true,
        (Effects::Local, Some(false)) if last_ident(found) == "StepCx" => format!(
            "{role} has local effects and works on `conn: &mut Conn`; \
             if its effects lie outside the database, say `effects = external`"
        ),
        (Effects::External, Some(true)) => {
            format!("{role} has external effects, so there is no connection: take `cx: &StepCx`")
        }
        (_, _) => format!("{role} takes `{}` here", effects.first_parameter()),
    };
    errors.at(found, text);
    false
}

/// `T` of `-> StepResult<T>` or `-> Result<T, ..>`.
fn output_type(sig: &Signature, role: &str, errors: &mut Errors) -> Option<Type> {
    let found = match &sig.output {
        ReturnType::Type(_, found) => found,
        ReturnType::Default => {
            errors.at(&sig.ident, format!("{role} returns a `StepResult<..>`"));
            return None;
        }
    };
    if ["StepResult", "Result"].contains(&last_ident(found).as_str())
        && let Some(output) = first_argument(found)
    {
        return Some(output.clone());
    }
    errors.at(found, format!("{role} returns a `StepResult<..>`"));
    None
}

fn expected_partner(sig: &Signature, types: &Types, effects: Effects) -> String {
    let (name, first) = (&sig.ident, effects.first_parameter());
    let (input, output) = (text(&types.input), text(&types.output));
    let output = match effects {
        Effects::Local => format!("&{output}"),
        Effects::External => format!("Option<&{output}>"),
    };
    format!("async fn {name}(&self, {first}, input: &{input}, output: {output}) -> StepResult<()>")
}

/// The type as people write it: token streams print with spaces everywhere.
fn text(ty: &Type) -> String {
    let mut text = ty.to_token_stream().to_string();
    for (spaced, plain) in [
        (" :: ", "::"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
    ] {
        text = text.replace(spaced, plain);
    }
    text
}

fn typed(sig: &Signature) -> Vec<&Type> {
    sig.inputs
        .iter()
        .filter_map(|arg| match arg {
            FnArg::Typed(typed) => Some(typed.ty.as_ref()),
            FnArg::Receiver(_) => None,
        })
        .collect()
}

fn is_reference(ty: &Type) -> bool {
    matches!(ty, Type::Reference(_))
}

fn referred(ty: &Type) -> Option<Type> {
    match ty {
        Type::Reference(TypeReference {
            mutability: None,
            elem,
            ..
        }) => Some(elem.as_ref().clone()),
        _ => None,
    }
}

fn option_of(ty: &Type) -> Option<&Type> {
    (last_ident(ty) == "Option").then(|| first_argument(ty))?
}

fn first_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(list) = &path.path.segments.last()?.arguments else {
        return None;
    };
    list.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn last_ident(ty: &Type) -> String {
    match ty {
        Type::Reference(reference) => last_ident(&reference.elem),
        Type::Path(path) => path
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_string())
            .unwrap_or_default(),
        _ => String::new(),
    }
}
