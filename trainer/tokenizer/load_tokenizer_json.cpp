// tokenizer.json into a Pipeline; and vocab.json + merges.txt.
#include <algorithm>
#include <boost/json/monotonic_resource.hpp>
#include <initializer_list>
#include <unordered_map>
#include <utility>

#include "runtime/error.h"
#include "trainer/tokenizer/json_object.h"
#include "trainer/tokenizer/pipeline.h"
#include "trainer/tokenizer/unicode_tables.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

// The pattern of GPT-2, which the ByteLevel pre-tokenizer has built in.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::size_t kMaxComponents = 64;
constexpr std::uint64_t kMaxStripCount = 1u << 20;

using Merges = std::vector<std::pair<std::string_view, std::string_view>>;

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

// The steps of ByteLevel but for its alphabet.
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

TokenId read_id(const JsonPlace& place) {
  return static_cast<TokenId>(place.as_unsigned(kIdLimit));
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

TokenTable read_vocabulary(const JsonPlace& vocab) {
  vocab.expect_object();
  const auto& object = vocab.value().get_object();
  TokenTable tokens;
  std::size_t bytes = 0;
  TokenId highest = -1;
  for (const auto& member : object) {
    bytes += member.key().size();
    if (!member.value().is_int64() || member.value().get_int64() < 0 ||
        member.value().get_int64() >= static_cast<std::int64_t>(kIdLimit))
      vocab.member(std::string_view(member.key().data(), member.key().size())).as_unsigned(kIdLimit);
    highest = std::max(highest, static_cast<TokenId>(member.value().get_int64()));
  }
  tokens.reserve(object.size(), bytes);
  std::vector<bool> taken(static_cast<std::size_t>(highest + 1));
  for (const auto& member : object) {
    const std::string_view key(member.key().data(), member.key().size());
    const auto id = static_cast<TokenId>(member.value().get_int64());
    if (taken[static_cast<std::size_t>(id)])
      vocab.member(key).fail(runtime::say("another token has the id ", id, " too"));
    taken[static_cast<std::size_t>(id)] = true;
    tokens.add(key, id);
  }
  return tokens;
}

std::optional<std::pair<std::string_view, std::string_view>> split_merge(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) return std::nullopt;
  return std::pair{line.substr(0, space), line.substr(space + 1)};
}

std::unique_ptr<Bpe> read_model(const JsonPlace& model, const std::string& where) {
  model.expect_object();
  if (const std::string type = model.string_or("type", "BPE"); type != "BPE")
    model.fail("the model \"" + type + "\" is not supported; known is BPE");
  const JsonPlace dropout = model.member("dropout");
  if (!dropout.is_null() && !(dropout.value().is_number() && dropout.value().to_number<double>() == 0))
    dropout.fail("expected null: tokens that change by chance are not supported");
  BpeOptions options;
  if (model.has("unk_token")) options.unk_token = std::string(model.member("unk_token").as_string());
  options.continuing_subword_prefix = model.string_or("continuing_subword_prefix", "");
  options.end_of_word_suffix = model.string_or("end_of_word_suffix", "");
  options.fuse_unk = model.bool_or("fuse_unk", false);
  options.byte_fallback = model.bool_or("byte_fallback", false);
  options.ignore_merges = model.bool_or("ignore_merges", false);
  TokenTable tokens = read_vocabulary(model.member("vocab"));
  const JsonPlace list = model.member("merges");
  Merges merges;
  merges.reserve(list.array_size());
  for (const auto& merge : list.value().get_array()) {
    const auto index = static_cast<std::size_t>(&merge - list.value().get_array().data());
    if (merge.is_string()) {
      const std::string_view line(merge.get_string().data(), merge.get_string().size());
      if (line.starts_with("#version")) continue;
      const auto pair = split_merge(line);
      if (!pair)
        list.element(index).fail("expected two tokens with one space between, found \"" + std::string(line) + "\"");
      merges.push_back(*pair);
    } else {
      const JsonPlace pair = list.element(index);
      if (pair.array_size() != 2) pair.fail("expected two tokens");
      merges.emplace_back(pair.element(0).as_string(), pair.element(1).as_string());
    }
  }
  return std::make_unique<Bpe>(std::move(tokens), merges, std::move(options), where);
}

// Gives each token its id as `tokenizers` does: the model's where it has the token, else the next after the vocabulary.
void add_tokens(const JsonPlace& list, Pipeline& pipeline) {
  if (list.is_null()) return;
  std::unordered_map<std::string_view, AddedToken*> by_content;
  std::vector<std::unique_ptr<AddedToken>> tokens;
  auto next_id = static_cast<TokenId>(pipeline.model->tokens().size());
  for (std::size_t i = 0; i < list.array_size(); ++i) {
    const JsonPlace place = list.element(i);
    AddedToken token;
    token.id = read_id(place.member("id"));
    token.content = place.member("content").as_string();
    token.single_word = place.bool_or("single_word", false);
    token.lstrip = place.bool_or("lstrip", false);
    token.rstrip = place.bool_or("rstrip", false);
    token.special = place.bool_or("special", false);
    token.normalized = place.bool_or("normalized", !token.special);
    if (token.content.empty()) continue;
    const auto before = by_content.find(token.content);
    const TokenId in_model = pipeline.model->tokens().find(token.content);
    const TokenId id = before != by_content.end() ? before->second->id : in_model >= 0 ? in_model : next_id++;
    if (id != token.id)
      place.fail(runtime::say("\"", token.content, "\" has the id ", token.id, ", but ",
                              in_model >= 0 ? "model.vocab has it at " : "its place after the vocabulary is ", id,
                              "; make the two agree"));
    if (before != by_content.end()) {
      token.special = token.special || before->second->special;
      *before->second = std::move(token);
      continue;
    }
    tokens.push_back(std::make_unique<AddedToken>(std::move(token)));
    by_content.emplace(tokens.back()->content, tokens.back().get());
  }
  for (auto& token : tokens) {
    std::string pattern = token->content;
    if (token->normalized && !pipeline.normalizers.empty()) {
      MappedText text = MappedText::identity(pattern, 0, false);
      run_all(pipeline.normalizers, text);
      pattern = text.text();
    }
    if (!(token->normalized ? pipeline.normalized_tokens : pipeline.raw_tokens).add(pattern, token.get()))
      list.fail("\"" + token->content + "\" cannot be told from another token once it is normalized");
    pipeline.added_tokens.push_back(std::move(token));
  }
}

}  // namespace

Pipeline load_tokenizer_json(std::string_view json, const std::string& where) {
  boost::json::monotonic_resource memory;
  const boost::json::value parsed = parse_tokenizer_json(json, where, &memory);
  const JsonPlace root(parsed, "", where);
  root.expect_object();
  if (const std::string version = root.string_or("version", "1.0"); version != "1.0")
    root.member("version").fail("expected \"1.0\", found \"" + version + "\"");
  if (!root.has("model")) root.fail("expected an object with \"model\"; is this a tokenizer.json?");
  Pipeline pipeline;
  pipeline.normalizers = read_normalizers(root.member("normalizer"));
  pipeline.model = read_model(root.member("model"), where);
  read_pre_tokenizers(root.member("pre_tokenizer"), pipeline);
  pipeline.post_processor = read_post_processor(root.member("post_processor"));
  pipeline.decoders = read_decoders(root.member("decoder"));
  add_tokens(root.member("added_tokens"), pipeline);
  return pipeline;
}

Pipeline load_gpt2_files(std::string_view vocab_json, const std::string& where, std::string_view merges,
                         const std::string& merges_where) {
  boost::json::monotonic_resource memory;
  const boost::json::value parsed = parse_tokenizer_json(vocab_json, where, &memory);
  TokenTable tokens = read_vocabulary(JsonPlace(parsed, "", where));
  if (first_invalid_byte(merges) != std::string_view::npos)
    throw runtime::UserError(merges_where + ": expected UTF-8, found another byte");
  Merges pairs;
  for (std::size_t line_number = 1; !merges.empty(); ++line_number) {
    const std::size_t end = merges.find('\n');
    std::string_view line = merges.substr(0, end);
    merges.remove_prefix(end == std::string_view::npos ? merges.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("#version")) continue;
    const auto pair = split_merge(line);
    if (!pair)
      throw runtime::UserError(runtime::say(merges_where, ":", line_number,
                                            ": expected two tokens with one space between, "
                                            "found \"",
                                            line.substr(0, 100), "\""));
    pairs.push_back(*pair);
  }
  Pipeline pipeline;
  pipeline.model = std::make_unique<Bpe>(std::move(tokens), pairs, BpeOptions{}, merges_where);
  add_byte_level(pipeline.pre_tokenizers, false, true);
  if (!pipeline.model->use_raw_bytes()) pipeline.pre_tokenizers.push_back(make_byte_level_alphabet());
  pipeline.decoders.emplace();
  pipeline.decoders->push_back(make_byte_level_decoder());
  AddedToken end{.content = "<|endoftext|>", .special = true};
  end.id = pipeline.model->tokens().find(end.content);
  if (end.id >= 0) {
    pipeline.added_tokens.push_back(std::make_unique<const AddedToken>(std::move(end)));
    pipeline.raw_tokens.add(pipeline.added_tokens.back()->content, pipeline.added_tokens.back().get());
  }
  return pipeline;
}

}  // namespace cadre::tokenizer
