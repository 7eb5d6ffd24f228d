#include "trainer/tokenizer/read_components.h"

#include <utility>

#include "runtime/error.h"
#include "trainer/tokenizer/unicode_tables.h"

namespace cadre::tokenizer {
namespace {

constexpr std::size_t kMaxComponents = 64;
constexpr std::uint64_t kMaxStripCount = 1u << 20;

[[noreturn]] void fail_unknown(const JsonPlace& component, std::string_view what, std::string_view known) {
  component.fail(runtime::say("the ", what, " \"", component.member("type").as_string(),
                              "\" is not supported; known are ", known));
}

// The elements of a component and of the "Sequence"s in it, in order.
std::vector<JsonPlace> flattened(const JsonPlace& component, std::string_view list_name) {
  std::vector<JsonPlace> out;
  if (component.is_null()) return out;
  std::vector<JsonPlace> open{component};
  while (!open.empty()) {
    const JsonPlace next = open.back();
    open.pop_back();
    if (next.member("type").as_string() != "Sequence") {
      out.push_back(next);
      if (out.size() > kMaxComponents) component.fail(runtime::say("more than ", kMaxComponents, " components"));
      continue;
    }
    const JsonPlace list = next.member(list_name);
    for (std::size_t i = list.array_size(); i-- > 0;) open.push_back(list.element(i));
    if (open.size() > kMaxComponents) component.fail(runtime::say("more than ", kMaxComponents, " components"));
  }
  return out;
}

// A pattern {"String": …} or {"Regex": …}.
struct Pattern {
  std::string text;
  std::optional<Regex> regex;
};

Pattern read_pattern(const JsonPlace& component) {
  const JsonPlace pattern = component.member("pattern");
  if (pattern.has("String")) {
    std::string text(pattern.member("String").as_string());
    if (text.empty()) pattern.fail("an empty pattern is not supported");
    return {std::move(text), std::nullopt};
  }
  if (!pattern.has("Regex")) pattern.fail("expected {\"String\": …} or {\"Regex\": …}");
  return {"", Regex::compile(pattern.member("Regex").as_string(), pattern.place())};
}

SplitBehavior read_behavior(const JsonPlace& component) {
  const JsonPlace behavior = component.member("behavior");
  if (behavior.is_null()) return SplitBehavior::kIsolated;
  static constexpr std::pair<std::string_view, SplitBehavior> kNames[] = {
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  for (const auto& [name, value] : kNames)
    if (behavior.as_string() == name) return value;
  behavior.fail("expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous, found \"" +
                std::string(behavior.as_string()) + "\"");
}

struct MetaspaceFields {
  char32_t replacement;
  PrependScheme scheme = PrependScheme::kAlways;
};

MetaspaceFields read_metaspace(const JsonPlace& component) {
  MetaspaceFields fields{component.member("replacement").as_character()};
  const std::string scheme = component.string_or("prepend_scheme", "always");
  if (scheme == "first")
    fields.scheme = PrependScheme::kFirst;
  else if (scheme == "never")
    fields.scheme = PrependScheme::kNever;
  else if (scheme != "always")
    component.member("prepend_scheme").fail("expected always, first or never, found \"" + scheme + "\"");
  if (!component.bool_or("add_prefix_space", true) && fields.scheme != PrependScheme::kNever)
    component.fail("add_prefix_space is false, but prepend_scheme is not \"never\"");
  return fields;
}

std::vector<TemplatePart> read_template(const JsonPlace& component) {
  std::vector<TemplatePart> parts;
  const JsonPlace single = component.member("single");
  for (std::size_t i = 0; i < single.array_size(); ++i) {
    const JsonPlace piece = single.element(i);
    if (piece.has("Sequence")) {
      if (piece.member("Sequence").member("id").as_string() != "A")
        piece.fail("the template of one text holds the text B");
      parts.push_back({.is_text = true, .ids = {}});
      continue;
    }
    if (!piece.has("SpecialToken")) piece.fail("expected {\"Sequence\": …} or {\"SpecialToken\": …}");
    const std::string_view name = piece.member("SpecialToken").member("id").as_string();
    const JsonPlace token = component.member("special_tokens").member(name);
    if (token.is_null()) piece.fail("\"" + std::string(name) + "\" is not in special_tokens");
    const JsonPlace ids = token.member("ids");
    TemplatePart part;
    for (std::size_t k = 0; k < ids.array_size(); ++k) part.ids.push_back(read_id(ids.element(k)));
    parts.push_back(std::move(part));
    if (parts.size() > kMaxComponents) single.fail("a template of too many pieces");
  }
  return parts;
}

}  // namespace

TokenId read_id(const JsonPlace& place) {
  return static_cast<TokenId>(place.as_unsigned(kIdLimit));
}

Normalizers read_normalizers(const JsonPlace& component) {
  Normalizers out;
  for (const JsonPlace& each : flattened(component, "normalizers")) {
    const std::string_view type = each.member("type").as_string();
    if (type == "NFC") {
      out.push_back(make_unicode_normalizer(NormalizationForm::kNfc));
    } else if (type == "NFD") {
      out.push_back(make_unicode_normalizer(NormalizationForm::kNfd));
    } else if (type == "NFKC") {
      out.push_back(make_unicode_normalizer(NormalizationForm::kNfkc));
    } else if (type == "NFKD") {
      out.push_back(make_unicode_normalizer(NormalizationForm::kNfkd));
    } else if (type == "Prepend") {
      out.push_back(make_prepend(std::string(each.member("prepend").as_string())));
    } else if (type == "Replace") {
      Pattern pattern = read_pattern(each);
      std::string content(each.member("content").as_string());
      out.push_back(pattern.regex ? make_replace(std::move(*pattern.regex), std::move(content))
                                  : make_replace(std::move(pattern.text), std::move(content)));
    } else if (type == "Strip") {
      out.push_back(make_strip(each.member("strip_left").as_bool(), each.member("strip_right").as_bool()));
    } else if (type == "Lowercase") {
      out.push_back(make_lowercase());
    } else if (type == "ByteLevel") {
      out.push_back(make_byte_level_normalizer());
    } else {
      fail_unknown(each, "normalizer",
                   "NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip, Lowercase, ByteLevel and Sequence");
    }
  }
  return out;
}

void add_byte_level(PreTokenizers& out, bool add_prefix_space, bool use_regex) {
  if (add_prefix_space) out.push_back(make_prefix_space());
  if (use_regex) out.push_back(make_split(Regex::compile(kGpt2Pattern, "ByteLevel"), SplitBehavior::kIsolated, false));
}

void read_pre_tokenizers(const JsonPlace& component, Pipeline& pipeline) {
  PreTokenizers& out = pipeline.pre_tokenizers;
  const std::vector<JsonPlace> all = flattened(component, "pretokenizers");
  for (std::size_t i = 0; i < all.size(); ++i) {
    const JsonPlace& each = all[i];
    const std::string_view type = each.member("type").as_string();
    if (type == "ByteLevel") {
      add_byte_level(out, each.member("add_prefix_space").as_bool(), each.bool_or("use_regex", true));
      // At the end, the model takes bytes as they are, which is the same in fewer steps.
      if (i + 1 != all.size() || !pipeline.model->use_raw_bytes()) out.push_back(make_byte_level_alphabet());
    } else if (type == "Split") {
      Pattern pattern = read_pattern(each);
      const SplitBehavior behavior = read_behavior(each);
      const bool invert = each.bool_or("invert", false);
      out.push_back(pattern.regex ? make_split(std::move(*pattern.regex), behavior, invert)
                                  : make_split(std::move(pattern.text), behavior, invert));
    } else if (type == "Metaspace") {
      const MetaspaceFields fields = read_metaspace(each);
      if (fields.scheme == PrependScheme::kFirst && (!pipeline.normalizers.empty() || !out.empty()))
        pipeline.needs_ranges = true;
      out.push_back(make_metaspace(fields.replacement, fields.scheme, each.bool_or("split", true)));
    } else if (type == "Digits") {
      out.push_back(make_split(
          numeric(), each.bool_or("individual_digits", false) ? SplitBehavior::kIsolated : SplitBehavior::kContiguous));
    } else if (type == "Punctuation") {
      out.push_back(make_split(punctuation(), read_behavior(each)));
    } else if (type == "WhitespaceSplit") {
      out.push_back(make_split(white_space(), SplitBehavior::kRemoved));
    } else if (type == "Whitespace") {  // \w+|[^\w\s]+
      out.push_back(make_split(white_space(), SplitBehavior::kRemoved));
      out.push_back(make_split(word_characters(), SplitBehavior::kContiguous));
    } else if (type == "CharDelimiterSplit") {
      const char32_t delimiter = each.member("delimiter").as_character();
      out.push_back(make_split(CodePointSet::of(delimiter, delimiter), SplitBehavior::kRemoved));
    } else {
      fail_unknown(
          each, "pre-tokenizer",
          "ByteLevel, Split, Metaspace, Digits, Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit and "
          "Sequence");
    }
  }
}

std::vector<TemplatePart> read_post_processor(const JsonPlace& component) {
  std::vector<TemplatePart> out{{.is_text = true, .ids = {}}};
  bool has_template = false;
  for (const JsonPlace& each : flattened(component, "processors")) {
    const std::string_view type = each.member("type").as_string();
    if (type == "ByteLevel") continue;  // it trims offsets; ours are of all bytes that a token came from
    if (has_template) each.fail("a second template in one post-processor is not supported");
    has_template = true;
    if (type == "TemplateProcessing") {
      out = read_template(each);
    } else if (type == "RobertaProcessing" || type == "BertProcessing") {
      const auto id_of = [&](std::string_view name) {
        const JsonPlace pair = each.member(name);
        if (pair.array_size() != 2) pair.fail("expected [token, id]");
        return read_id(pair.element(1));
      };
      out = {{.is_text = false, .ids = {id_of("cls")}},
             {.is_text = true, .ids = {}},
             {.is_text = false, .ids = {id_of("sep")}}};
    } else {
      fail_unknown(each, "post-processor",
                   "TemplateProcessing, ByteLevel, RobertaProcessing, BertProcessing and Sequence");
    }
  }
  return out;
}

std::optional<Decoders> read_decoders(const JsonPlace& component) {
  if (component.is_null()) return std::nullopt;
  Decoders out;
  for (const JsonPlace& each : flattened(component, "decoders")) {
    const std::string_view type = each.member("type").as_string();
    if (type == "ByteLevel") {
      out.push_back(make_byte_level_decoder());
    } else if (type == "Replace") {
      Pattern pattern = read_pattern(each);
      std::string content(each.member("content").as_string());
      out.push_back(pattern.regex ? make_replace_decoder(std::move(*pattern.regex), std::move(content))
                                  : make_replace_decoder(std::move(pattern.text), std::move(content)));
    } else if (type == "ByteFallback") {
      out.push_back(make_byte_fallback_decoder());
    } else if (type == "Fuse") {
      out.push_back(make_fuse_decoder());
    } else if (type == "Strip") {
      out.push_back(make_strip_decoder(each.member("content").as_character(),
                                       each.member("start").as_unsigned(kMaxStripCount),
                                       each.member("stop").as_unsigned(kMaxStripCount)));
    } else if (type == "Metaspace") {
      const MetaspaceFields fields = read_metaspace(each);
      out.push_back(make_metaspace_decoder(fields.replacement, fields.scheme != PrependScheme::kNever));
    } else if (type == "BPEDecoder") {
      std::string suffix(each.member("suffix").as_string());
      if (suffix.empty()) each.fail("an empty suffix is not supported");
      out.push_back(make_bpe_decoder(std::move(suffix)));
    } else {
      fail_unknown(each, "decoder",
                   "ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, BPEDecoder and Sequence");
    }
  }
  return out;
}

}  // namespace cadre::tokenizer
