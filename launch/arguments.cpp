#include "launch/arguments.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "runtime/error.h"
#include "trainer/config/suggest.h"

namespace cadre::launch {
namespace {

std::string with_underscores(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// Options that take no value unless it says true or false: what follows them is something else.
bool is_flag(const std::string& name) {
  static const std::set<std::string> kFlags = {"dry_run", "quiet", "trace",   "help",
                                               "json",    "chat",  "version", "overwrite_output_dir"};
  return kFlags.contains(name);
}

bool is_option(const std::string& word) {
  return word.starts_with("--") && word.size() > 2;
}

// KEY=VALUE where KEY looks like one; a path with an equals sign in it does not.
bool is_assignment(const std::string& word) {
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos || equals == 0) return false;
  return std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals),
                     [](char c) {
                       return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
                     }) &&
         std::isalpha(static_cast<unsigned char>(word[0])) != 0;
}

}  // namespace

bool Arguments::has(const std::string& key) const {
  return std::any_of(options.begin(), options.end(), [&](const auto& option) { return option.key == key; });
}

std::string Arguments::get(const std::string& key, const std::string& fallback) const {
  const auto it = std::find_if(options.rbegin(), options.rend(), [&](const auto& option) { return option.key == key; });
  return it == options.rend() ? fallback : it->value;
}

std::string Arguments::take(const std::string& key, const std::string& fallback) {
  const std::string value = get(key, fallback);
  std::erase_if(options, [&](const auto& option) { return option.key == key; });
  return value;
}

bool Arguments::take_flag(const std::string& key) {
  const std::string value = take(key, "false");
  if (value == "true" || value == "false") return value == "true";
  throw runtime::UserError("--" + key + ": expected true or false, found '" + value + "'");
}

void Arguments::require_values(const std::vector<std::string>& allowed) const {
  for (const std::string& key : bare) {
    if (has(key) && !is_flag(key) && std::find(allowed.begin(), allowed.end(), key) == allowed.end()) {
      throw runtime::UserError("--" + key + ": expected a value");
    }
  }
}

const std::string& Arguments::target(const std::string& what) const {
  if (targets.size() == 1) return targets[0];
  if (targets.empty()) throw runtime::UserError(verb + ": expected " + what + "; see cadre --help");
  throw runtime::UserError(verb + ": expected one " + what + ", found also '" + targets[1] + "'; see cadre --help");
}

void Arguments::require_known(const std::vector<std::string>& known) const {
  require_values();
  for (const config::Override& option : options) {
    if (std::find(known.begin(), known.end(), option.key) != known.end()) continue;
    const std::string nearest(config::nearest(option.key, {known.begin(), known.end()}));
    throw runtime::UserError("--" + option.key + ": not an option of cadre " + verb +
                             (nearest.empty() ? "" : "; did you mean --" + nearest + "?"));
  }
}

Arguments parse_arguments(const std::vector<std::string>& words) {
  Arguments result;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (is_option(word)) {
      const std::string body = word.substr(2);
      if (const std::size_t equals = body.find('='); equals != std::string::npos) {
        result.options.push_back({with_underscores(body.substr(0, equals)), body.substr(equals + 1)});
      } else if (i + 1 < words.size() && !is_option(words[i + 1]) &&
                 (!is_flag(with_underscores(body)) || words[i + 1] == "true" || words[i + 1] == "false")) {
        result.options.push_back({with_underscores(body), words[++i]});
      } else {
        result.options.push_back({with_underscores(body), "true"});
        result.bare.insert(with_underscores(body));
      }
    } else if (word == "-h") {
      result.options.push_back({"help", "true"});
    } else if (result.verb.empty()) {
      result.verb = word;
    } else if (is_assignment(word)) {
      const std::size_t equals = word.find('=');
      result.options.push_back({with_underscores(word.substr(0, equals)), word.substr(equals + 1)});
    } else {
      result.targets.push_back(word);
    }
  }
  return result;
}

std::int64_t integer_of(const std::string& key, const std::string& text, std::int64_t low, std::int64_t high) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    throw runtime::UserError(
        runtime::say("--", key, ": expected a whole number from ", low, " to ", high, ", found '", text, "'"));
  }
  return value;
}

double number_of(const std::string& key, const std::string& text, double low, double high) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || value < low ||
      value > high) {
    throw runtime::UserError(
        runtime::say("--", key, ": expected a number from ", low, " to ", high, ", found '", text, "'"));
  }
  return value;
}

}  // namespace cadre::launch
