// RUN/hosts: the hosts of a run that was started with --hosts, HOST:RANKS a line, for those who enlarge it by editing a
// file. A line that is new, or whose number is raised, asks for so many ranks on that host in all, as `cadre join`
// does. What a line loses is not looked at: editors write files bit by bit, and half a file must neither empty hosts
// nor make others new. `cadre drain` takes hosts out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "launch/launcher.h"

namespace cadre::launch {

class HostFile {
 public:
  // Writes it anew. RunError: the disk refuses.
  HostFile(const std::filesystem::path& run, const std::vector<IslandSpec>& islands);
  HostFile(const HostFile&) = delete;
  HostFile& operator=(const HostFile&) = delete;
  ~HostFile();  // and it goes

  // What the file asks for and nobody has accepted yet, when it has changed since the last call; `ranks` are those that
  // a host is to have. UserError: a line that is no host, a file that others may write.
  std::vector<IslandSpec> raised();
  void accept(const IslandSpec& host);

 private:
  bool has_changed();

  std::filesystem::path path_;
  std::string seen_ = {};  // what distinguishes one content from another, of the last look
  std::map<std::string, std::uint32_t> accepted_;
};

}  // namespace cadre::launch
