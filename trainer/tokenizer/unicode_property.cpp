#include "trainer/tokenizer/unicode_property.h"

#include <string>
#include <utility>

#include "trainer/tokenizer/unicode_tables.h"
#include "trainer/tokenizer/utf8.h"

namespace cadre::tokenizer {
namespace {

constexpr std::pair<std::string_view, std::string_view> kLongNames[] = {{"letter", "L"},
                                                                        {"mark", "M"},
                                                                        {"number", "N"},
                                                                        {"punctuation", "P"},
                                                                        {"symbol", "S"},
                                                                        {"separator", "Z"},
                                                                        {"other", "C"},
                                                                        {"uppercaseletter", "Lu"},
                                                                        {"lowercaseletter", "Ll"},
                                                                        {"titlecaseletter", "Lt"},
                                                                        {"modifierletter", "Lm"},
                                                                        {"otherletter", "Lo"}};

}  // namespace

CodePointSet unicode_property(std::string_view name) {
  std::string plain;
  for (const char c : name)
    if (c != ' ' && c != '-' && c != '_') plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (plain == "any") return CodePointSet::of(0, kLastCodePoint);
  if (const CodePointSet* found = script(plain)) return *found;
  for (const auto& [written, short_name] : kLongNames)
    if (plain == written) return category(short_name);
  if (plain.empty() || plain.size() > 2 || plain[0] < 'a' || plain[0] > 'z') return {};
  plain[0] = static_cast<char>(plain[0] - 32);
  return category(plain);
}

}  // namespace cadre::tokenizer
