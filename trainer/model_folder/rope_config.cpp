#include "trainer/model_folder/rope_config.h"

#include <cmath>
#include <map>

#include "runtime/error.h"

namespace cadre::model_folder {
namespace {

using runtime::say;
namespace json = boost::json;

constexpr NumberRange kPositive{std::numeric_limits<double>::min(), 1e12};
constexpr IntegerRange kContext{2, std::int64_t{1} << 32};

const std::map<std::string, RopeKind, std::less<>> kKinds{
    {"default", RopeKind::kDefault}, {"linear", RopeKind::kLinear}, {"dynamic", RopeKind::kDynamic},
    {"llama3", RopeKind::kLlama3},   {"yarn", RopeKind::kYarn},     {"longrope", RopeKind::kLongrope},
    {"su", RopeKind::kLongrope},  // the name that Phi-3 first gave it
};

RopeKind kind_of(const JsonFields& fields, const Family& family) {
  const char* name = fields.find("rope_type") != nullptr ? "rope_type" : "type";
  const std::string text = fields.text(name).value_or("default");
  const auto found = kKinds.find(text);
  if (found == kKinds.end()) {
    fields.expected(name, "one of default, linear, dynamic, llama3, yarn and longrope");
  }
  if (family.name != FamilyName::kPhi3) return found->second;
  // Early Phi-3 folders said "yarn" and meant what became longrope.
  if (found->second == RopeKind::kYarn) return RopeKind::kLongrope;
  if (found->second != RopeKind::kDefault && found->second != RopeKind::kLongrope) {
    fields.expected(name, "default or longrope, as Phi3ForCausalLM has them");
  }
  return found->second;
}

// What a rope dictionary may leave to fields beside it.
struct Surroundings {
  double theta = 10000.0;
  double partial_rotary_factor = 1.0;
  std::optional<std::int64_t> original_max_position_embeddings;  // wins over the dictionary's
};

void parse_scaling(const JsonFields& fields, const Surroundings& around, const ModelSpec& spec, RopeSpec& rope) {
  const bool infers_factor = rope.kind == RopeKind::kYarn || rope.kind == RopeKind::kLongrope;
  const std::optional<double> factor = fields.number("factor", kPositive);
  if (!factor && !infers_factor) fields.expected("factor", "a positive number");
  if (rope.kind == RopeKind::kLlama3 || infers_factor) {
    const std::optional<std::int64_t> own = fields.integer("original_max_position_embeddings", kContext);
    rope.original_max_position_embeddings =
        around.original_max_position_embeddings.value_or(own.value_or(spec.max_position_embeddings));
  }
  rope.factor = factor ? *factor
                       : static_cast<double>(spec.max_position_embeddings) /
                             static_cast<double>(rope.original_max_position_embeddings);
  if (infers_factor) rope.attention_factor = fields.number("attention_factor", {0.0, 1e6});
}

void parse_llama3(const JsonFields& fields, RopeSpec& rope) {
  const std::optional<double> low = fields.number("low_freq_factor", kPositive);
  const std::optional<double> high = fields.number("high_freq_factor", kPositive);
  if (!low) fields.expected("low_freq_factor", "a positive number");
  if (!high || *high <= *low) fields.expected("high_freq_factor", say("a number above low_freq_factor (", *low, ")"));
  rope.low_freq_factor = *low;
  rope.high_freq_factor = *high;
}

void parse_yarn(const JsonFields& fields, bool truncate, RopeSpec& rope) {
  // A zero means the default too, as in transformers.
  const auto given = [&](const char* name, double otherwise) {
    const double value = fields.number(name, {0.0, 1e12}).value_or(0.0);
    return value == 0.0 ? otherwise : value;
  };
  rope.beta_fast = given("beta_fast", 32.0);
  rope.beta_slow = given("beta_slow", 1.0);
  rope.mscale = fields.number("mscale", {0.0, 1e6});
  rope.mscale_all_dim = fields.number("mscale_all_dim", {0.0, 1e6});
  rope.truncate = truncate;
}

void parse_longrope(const JsonFields& fields, RopeSpec& rope) {
  const auto list = [&](const char* name) {
    const std::optional<std::vector<double>> values = fields.numbers(name, kPositive);
    const auto wanted = static_cast<std::size_t>(rope.rotary_dim / 2);
    if (!values) fields.expected(name, say("a list of ", wanted, " numbers"));
    if (values->size() != wanted) {
      fields.fail(name, say("expected ", wanted, " numbers, half the rotary dimension, found ", values->size()));
    }
    return *values;
  };
  rope.short_factor = list("short_factor");
  rope.long_factor = list("long_factor");
}

RopeSpec parse_rope(const JsonFields& fields, const Surroundings& around, const Family& family, const ModelSpec& spec,
                    bool truncate) {
  RopeSpec rope;
  rope.kind = kind_of(fields, family);
  rope.theta = fields.number("rope_theta", kPositive).value_or(around.theta);
  const double partial = fields.number("partial_rotary_factor", kPositive).value_or(around.partial_rotary_factor);
  if (partial > 1.0) fields.fail("partial_rotary_factor", say("expected a number of at most 1, found ", partial));
  if (partial != 1.0 && family.name != FamilyName::kPhi3) {
    fields.fail("partial_rotary_factor",
                say("expected 1 for ", family.architecture, ", found ", partial, "; only Phi3ForCausalLM has it"));
  }
  rope.rotary_dim = static_cast<std::int64_t>(static_cast<double>(spec.head_dim) * partial);
  if (rope.rotary_dim < 2 || rope.rotary_dim % 2 != 0) {
    fields.fail("partial_rotary_factor", say("expected an even number of rotating dimensions, found ", rope.rotary_dim,
                                             " (head_dim ", spec.head_dim, " × ", partial, ")"));
  }
  rope.max_position_embeddings = spec.max_position_embeddings;
  rope.original_max_position_embeddings = spec.max_position_embeddings;
  if (rope.kind == RopeKind::kDefault) return rope;

  parse_scaling(fields, around, spec, rope);
  if (rope.kind == RopeKind::kLlama3) parse_llama3(fields, rope);
  if (rope.kind == RopeKind::kYarn) parse_yarn(fields, truncate, rope);
  if (rope.kind == RopeKind::kLongrope) parse_longrope(fields, rope);
  // Divisions by log(θ) and by rotary_dim − 2.
  if (rope.kind == RopeKind::kYarn && rope.theta <= 1.0) fields.expected("rope_theta", "a number above 1 with yarn");
  if (rope.kind == RopeKind::kDynamic && rope.rotary_dim <= 2) {
    fields.fail("rope_type", "dynamic needs more than 2 rotating dimensions");
  }
  return rope;
}

bool is_nested(const json::object& object) {
  return object.contains("full_attention") || object.contains("sliding_attention");
}

// transformers: full attention takes rope_theta and rope_scaling, sliding attention rope_local_base_freq alone;
// rope_parameters, where it is there, holds one dictionary a layer type.
std::vector<RopeSpec> parse_gemma3(const JsonFields& config, const Surroundings& around, const Family& family,
                                   const ModelSpec& spec) {
  json::object full, sliding;
  if (const std::optional<JsonFields> parameters = config.object("rope_parameters")) {
    if (!parameters->json().empty() && !is_nested(parameters->json())) {
      config.fail("rope_parameters", "expected full_attention and sliding_attention, one object each, for " +
                                         std::string(family.architecture));
    }
    if (const std::optional<JsonFields> one = parameters->object("full_attention")) full = one->json();
    if (const std::optional<JsonFields> one = parameters->object("sliding_attention")) sliding = one->json();
  }
  if (const std::optional<JsonFields> scaling = config.object("rope_scaling")) {
    for (const auto& [key, value] : scaling->json()) full[key] = value;
  }
  Surroundings of_full = around, of_sliding = around;
  of_full.theta = config.number("rope_theta", kPositive).value_or(1e6);
  of_sliding.theta = config.number("rope_local_base_freq", kPositive).value_or(1e4);
  of_full.original_max_position_embeddings = of_sliding.original_max_position_embeddings = std::nullopt;
  const std::string prefix = "rope_parameters.";
  // transformers looks for yarn's `truncate` beside the layer types, where it never is.
  return {
      parse_rope(JsonFields(full, config.where(), prefix + "full_attention."), of_full, family, spec, true),
      parse_rope(JsonFields(sliding, config.where(), prefix + "sliding_attention."), of_sliding, family, spec, true)};
}

}  // namespace

std::vector<RopeSpec> parse_ropes(const JsonFields& config, const Family& family, const ModelSpec& spec) {
  Surroundings around;
  around.theta = config.number("rope_theta", kPositive).value_or(around.theta);
  around.partial_rotary_factor = config.number("partial_rotary_factor", kPositive).value_or(1.0);
  around.original_max_position_embeddings = config.integer("original_max_position_embeddings", kContext);
  if (family.name == FamilyName::kGemma3) return parse_gemma3(config, around, family, spec);
  if (family.name == FamilyName::kPhi3 && !around.original_max_position_embeddings) {
    around.original_max_position_embeddings = 4096;
  }
  // An empty rope_scaling counts as none.
  const char* name = "rope_parameters";
  if (const std::optional<JsonFields> scaling = config.object("rope_scaling"); scaling && !scaling->json().empty()) {
    name = "rope_scaling";
  }
  static const json::object kEmpty;
  const JsonFields fields = config.object(name).value_or(JsonFields(kEmpty, config.where()));
  if (is_nested(fields.json())) {
    config.fail(name, say("one dictionary a layer type is known for Gemma3ForCausalLM, not for ", family.architecture));
  }
  const bool truncate = fields.flag("truncate").value_or(true);
  return {parse_rope(fields, around, family, spec, truncate)};
}

}  // namespace cadre::model_folder
