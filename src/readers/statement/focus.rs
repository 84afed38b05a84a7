//! FOCUS 1.0 to 1.4: one format for the bills of several clouds. A row counts one class of tokens.

use super::{Class, Draft, Name, Role, StatementSource, aws_cur, field};

/// The column of the currency, which FOCUS requires.
pub(super) const CURRENCY: &str = "BillingCurrency";

pub(super) const FOCUS: StatementSource = StatementSource {
    name: "a FOCUS export",
    provider: None,
    signature: &["ChargePeriodStart", "BilledCost", "ChargeCategory"],
    columns: &[
        ("ChargePeriodStart", Role::Start),
        ("ChargePeriodEnd", Role::End),
        ("BilledCost", Role::Cost(1)),
        ("ListCost", Role::ListCost(1)),
        (CURRENCY, Role::Currency),
        ("ConsumedQuantity", Role::Text("quantity")),
        ("ConsumedUnit", Role::Text("unit")),
        ("ServiceCategory", Role::Text("category")),
        ("SkuMeter", Role::Text("meter")),
        ("ChargeDescription", Role::Text("description")),
        ("SkuId", Role::Text("sku")),
        ("SubAccountId", Role::Name(Name::Account)),
        ("ResourceName", Role::Ignored),
        ("ResourceId", Role::Ignored),
        ("ResourceType", Role::Ignored),
        ("ServiceProviderName", Role::Name(Name::Provider)),
        ("ProviderName", Role::Text("provider")),
        ("AllocatedMethod*", Role::Ignored),
        ("AllocatedResource*", Role::Ignored),
        ("AllocatedTags", Role::Ignored),
        ("AvailabilityZone", Role::Ignored),
        ("Billing*", Role::Ignored),
        ("CapacityReservation*", Role::Ignored),
        ("ChargeCategory", Role::Text("charge")),
        ("ChargeClass", Role::Text("class")),
        ("ChargeFrequency", Role::Ignored),
        ("CommitmentDiscount*", Role::Ignored),
        ("CommitmentProgram*", Role::Ignored),
        ("Contract*", Role::Ignored),
        ("ContractedCost", Role::Ignored),
        ("EffectiveCost", Role::Ignored),
        ("HostProviderName", Role::Ignored),
        ("Invoice*", Role::Ignored),
        ("ListUnitPrice", Role::Ignored),
        ("Pricing*", Role::Ignored),
        ("PublisherName", Role::Ignored),
        ("Region*", Role::Ignored),
        ("Service*", Role::Ignored),
        ("Sku*", Role::Ignored),
        ("SubAccount*", Role::Ignored),
        ("Tags", Role::Ignored),
        ("x_*", Role::Ignored),
    ],
    step: 0,
    unnamed: &[],
    finish: charge,
};

fn charge(draft: &mut Draft) -> Result<bool, String> {
    let unit = draft.texts.get("unit").map_or("", String::as_str);
    if !unit.to_ascii_lowercase().contains("token") {
        return Ok(false);
    }
    let size = field::unit_size(unit).ok_or_else(|| format!("column `ConsumedUnit`: `{unit}` is unknown"))?;
    let own = own_sku(draft);
    let what = ["meter", "description", "sku"].iter().find_map(|name| {
        let text = draft.texts.get(name)?;
        Some((Class::named(text)?, text.clone()))
    });
    let what = own.as_ref().map(|own| (own.class, own.model.clone())).or(what);
    let (class, text) = what.ok_or("columns `SkuMeter`, `ChargeDescription` and `SkuId` name no class of tokens")?;
    // Credits, adjustments and corrections of earlier periods change the amount, and count no tokens of this period.
    let is_usage = draft.texts.get("charge").is_none_or(|charge| charge.eq_ignore_ascii_case("usage"))
        && !draft.texts.get("class").is_some_and(|class| class.eq_ignore_ascii_case("correction"));
    if let Some(quantity) = draft.texts.get("quantity").filter(|_| is_usage) {
        draft.row.counts.insert(class, field::count(quantity, size)?);
    }
    if let Some(own) = own {
        draft.row.names.insert(Name::Provider, own.provider);
        if own.model != UNKNOWN_MODEL {
            draft.row.names.insert(Name::Model, own.model);
        }
        return Ok(true);
    }
    draft.row.names.insert(Name::Model, aws_cur::without_region(&text).to_owned());
    if let Some(provider) = draft.texts.get("provider") {
        draft.row.names.entry(Name::Provider).or_insert_with(|| provider.clone());
    }
    Ok(true)
}

/// The model of calls without one in an export of this program.
const UNKNOWN_MODEL: &str = "unknown model";

/// A charge of an export of this program.
struct OwnSku {
    provider: String,
    model: String,
    class: Class,
}

/// The names in the SKU of an export of this program: `PROVIDER/MODEL/METER`. Its meter is the class alone, while other
/// exports put the model into their meter.
fn own_sku(draft: &Draft) -> Option<OwnSku> {
    let meter = draft.texts.get("meter")?;
    let rest = draft.texts.get("sku")?.strip_suffix(meter.as_str())?.strip_suffix('/')?;
    let (provider, model) = rest.split_once('/')?;
    // Reasoning is a part of the output.
    let class =
        if meter == "reasoning" { Class::Output } else { Class::of_name(meter).or_else(|| Class::named(meter))? };
    Some(OwnSku { provider: provider.to_owned(), model: model.to_owned(), class })
}
