// What a process of a run is told when it starts: never on a command line, where others could read the token.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/members.h"

namespace cadre::launch {

struct Boot {
  std::string run_id = {};
  std::string token = {};  // the run's secret: 32 random bytes
  std::vector<runtime::Endpoint> coordinator = {};
  std::uint32_t island = 0;
  std::uint32_t first_rank = 0;  // of the island; its others follow
  // Of all islands that share the host of this one: how many ranks come before its first, and how many there are.
  // 0 of them: there is this island alone.
  std::uint32_t first_on_host = 0, ranks_on_host = 0;
  std::string configuration = {};  // resolved, as config::describe prints it
  std::string chat_template_date = {};
  std::string prepared_key = {};  // of the prepared data, for a rank that does not see its cache
  bool trace = false;             // ranks write down where their time goes
  // A host with more ranks of an island than this has a relay for them.
  std::uint32_t relay_above = 4;

  bool operator==(const Boot&) const = default;
};

inline constexpr std::size_t kMaxBootBytes = 4 << 20;
// One JSON object; parse_boot() throws UserError for anything else, and for more than kMaxBootBytes.
std::string print_boot(const Boot& boot);
Boot parse_boot(const std::string& text);

}  // namespace cadre::launch
