// How `cadre drain` and `cadre join` reach a run's launcher: files in RUN/.requests, a folder that the launcher makes
// with mode 0700 when it starts and removes when it ends. A request is ID.request, its answer ID.answer, both JSON
// objects that appear whole, with mode 0600.
//
// Files, and no socket: a run's folder may be shared by hosts, and then a host that was never part of the run can ask
// for itself; a path may be longer than a socket's name, on a file system that has none. What another user could do is
// little: the launcher reads and writes through a descriptor of the folder that it has made, and both sides take only
// what belongs to their own user and nobody else may touch. No secret passes: the token goes to new ranks as to all
// others, through their mpirun's stdin.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launch/child_process.h"

namespace cadre::launch {

struct RunRequest {
  enum class Verb { kDrain, kJoin } verb = Verb::kDrain;
  std::string host = {};    // kJoin: empty for the launcher's own
  std::uint32_t ranks = 0;  // kJoin: how many; 0: as many as the host had, else one

  bool operator==(const RunRequest&) const = default;
};

struct RunAnswer {
  std::string problem = {};  // empty: it is done
  std::vector<std::uint32_t> ranks = {};

  bool operator==(const RunAnswer&) const = default;
};

// As one line of JSON. Of what is none: UserError.
std::string print_request(const RunRequest& request);
RunRequest parse_request(std::string_view text);
std::string print_answer(const RunAnswer& answer);
RunAnswer parse_answer(std::string_view text);

// The launcher's end.
class RequestBox {
 public:
  // Makes the folder; one that a launcher before has left goes. RunError: the disk refuses.
  explicit RequestBox(const std::filesystem::path& run);
  RequestBox(const RequestBox&) = delete;
  RequestBox& operator=(const RequestBox&) = delete;
  ~RequestBox();

  struct Asked {
    std::string id = {};
    RunRequest request = {};
  };
  // What was asked since the last call. What is no request is answered here, what is no plain file of ours is left
  // alone.
  std::vector<Asked> take();
  // That nobody waits for it any more is no error.
  void answer(const std::string& id, const RunAnswer& answer);

 private:
  std::filesystem::path path_;
  Descriptor folder_;
};

// The other end: waits for the answer for as long as `is_alive` says that the launcher is there; nothing: it has ended
// without one. UserError: there is no such folder, or it is another user's.
std::optional<RunAnswer> ask_launcher(const std::filesystem::path& run, const RunRequest& request,
                                      const std::function<bool()>& is_alive);

}  // namespace cadre::launch
