#include "launch/run_requests.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <thread>

#include "launch/hosts.h"
#include "runtime/authentication.h"
#include "runtime/error.h"
#include "runtime/hex.h"
#include "runtime/json_fields.h"
#include "runtime/json_print.h"
#include "runtime/plain_text.h"

namespace cadre::launch {
namespace {

constexpr const char* kFolder = ".requests";
constexpr std::string_view kRequest = ".request", kAnswer = ".answer", kUnfinished = ".new";
constexpr std::size_t kIdDigits = 32;
constexpr std::size_t kMaxRequestBytes = 1 << 12;
constexpr std::size_t kMaxAnswerBytes = 1 << 20;  // with the number of each rank
constexpr std::size_t kMostAtOnce = 64;
constexpr std::chrono::milliseconds kLook{100};

bool is_id(std::string_view text) {
  return text.size() == kIdDigits && text.find_first_not_of(runtime::kHexDigits) == text.npos;
}

boost::json::object parse_object(std::string_view text, const char* what) {
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  if (error || !value.is_object()) throw runtime::UserError(std::string(what) + ": expected a JSON object");
  return value.get_object();
}

// A number of ranks or of one; more than may be: the highest that is none.
std::uint32_t number_of_ranks(const boost::json::value& value) {
  boost::json::error_code error;
  const auto number = value.to_number<std::uint64_t>(error);
  return error || number > kMostRanks ? kMostRanks + 1 : static_cast<std::uint32_t>(number);
}

bool is_ours_alone(const struct stat& status) {
  return status.st_uid == geteuid() && (status.st_mode & 077) == 0;
}

// Nothing where it is no plain file of ours, or is too long.
std::optional<std::string> read_of_ours(int folder, const std::string& name, std::size_t most) {
  const Descriptor file(openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status = {};
  if (!file || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || !is_ours_alone(status)) return {};
  if (status.st_nlink != 1 || status.st_size < 0 || static_cast<std::size_t>(status.st_size) > most) return {};
  try {
    std::string text = read_to_end(file.get(), most, name);
    if (text.size() <= most) return text;
  } catch (const runtime::RunError&) {  // as if it were not there
  }
  return {};
}

// It appears whole. False: the disk refuses.
bool write_of_ours(int folder, const std::string& name, const std::string& text) {
  const std::string unfinished = name + std::string(kUnfinished);
  {
    const Descriptor file(
        openat(folder, unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return false;
    if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      unlinkat(folder, unfinished.c_str(), 0);
      return false;
    }
  }
  return renameat(folder, unfinished.c_str(), folder, name.c_str()) == 0;
}

std::vector<std::string> names_in(int folder) {
  std::vector<std::string> names;
  const int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return names;
  const auto close_list = [](DIR* list) { closedir(list); };
  const std::unique_ptr<DIR, decltype(close_list)> list(fdopendir(again), close_list);
  if (list == nullptr) {
    close(again);
    return names;
  }
  while (const dirent* entry = readdir(list.get())) names.emplace_back(entry->d_name);
  return names;
}

}  // namespace

std::string print_request(const RunRequest& request) {
  const char* verb = request.verb == RunRequest::Verb::kDrain ? "drain" : "join";
  return runtime::json_line(boost::json::object{{"verb", verb}, {"host", request.host}, {"ranks", request.ranks}}) +
         "\n";
}

RunRequest parse_request(std::string_view text) {
  const boost::json::object fields = parse_object(text, "a request");
  RunRequest request;
  const std::string verb = runtime::text_in(fields, "verb");
  if (verb != "drain" && verb != "join") throw runtime::UserError("a request: expected the verb drain or join");
  if (verb == "join") request.verb = RunRequest::Verb::kJoin;
  request.host = runtime::text_in(fields, "host");
  const bool may_be_empty = request.verb == RunRequest::Verb::kJoin;
  if (!(request.host.empty() ? may_be_empty : is_host_name(request.host))) {
    throw runtime::UserError("a request: expected a host's name, found '" + runtime::plain_line(request.host) + "'");
  }
  if (const boost::json::value* ranks = fields.if_contains("ranks")) request.ranks = number_of_ranks(*ranks);
  if (request.ranks > kMostRanks) {
    throw runtime::UserError(runtime::say("a request: expected at most ", kMostRanks, " ranks"));
  }
  return request;
}

std::string print_answer(const RunAnswer& answer) {
  return runtime::json_line(boost::json::object{
             {"problem", answer.problem}, {"ranks", boost::json::array(answer.ranks.begin(), answer.ranks.end())}}) +
         "\n";
}

RunAnswer parse_answer(std::string_view text) {
  const boost::json::object fields = parse_object(text, "an answer");
  RunAnswer answer{.problem = runtime::text_in(fields, "problem")};
  const boost::json::value* ranks = fields.if_contains("ranks");
  if (ranks != nullptr && ranks->is_array()) {
    for (const boost::json::value& rank : ranks->get_array()) {
      answer.ranks.push_back(number_of_ranks(rank));
      if (answer.ranks.back() >= kMostRanks) throw runtime::UserError("an answer: a rank that is none");
    }
  }
  return answer;
}

RequestBox::RequestBox(const std::filesystem::path& run) : path_(run / kFolder) {
  std::error_code error;
  std::filesystem::remove_all(path_, error);  // a symbolic link goes, not what it leads to
  if (mkdir(path_.c_str(), 0700) != 0) {
    throw runtime::RunError(runtime::say(path_.string(), ": cannot be made: ", std::strerror(errno)));
  }
  folder_ = Descriptor(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status = {};
  if (!folder_ || fstat(folder_.get(), &status) != 0 || !is_ours_alone(status)) {
    throw runtime::RunError(path_.string() + ": expected a folder that only this user may use");
  }
}

RequestBox::~RequestBox() {
  for (const std::string& name : names_in(folder_.get())) unlinkat(folder_.get(), name.c_str(), 0);
  rmdir(path_.c_str());
}

std::vector<RequestBox::Asked> RequestBox::take() {
  std::vector<Asked> asked;
  for (const std::string& name : names_in(folder_.get())) {
    if (asked.size() == kMostAtOnce) break;
    if (!name.ends_with(kRequest)) continue;
    std::string id = name.substr(0, name.size() - kRequest.size());
    if (!is_id(id)) continue;
    const std::optional<std::string> text = read_of_ours(folder_.get(), name, kMaxRequestBytes);
    if (!text) continue;
    unlinkat(folder_.get(), name.c_str(), 0);
    try {
      asked.push_back({id, parse_request(*text)});
    } catch (const runtime::UserError& error) {
      answer(id, {.problem = error.what()});
    }
  }
  return asked;
}

void RequestBox::answer(const std::string& id, const RunAnswer& answer) {
  write_of_ours(folder_.get(), id + std::string(kAnswer), print_answer(answer));
}

std::optional<RunAnswer> ask_launcher(const std::filesystem::path& run, const RunRequest& request,
                                      const std::function<bool()>& is_alive) {
  const std::filesystem::path path = run / kFolder;
  const Descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status = {};
  if (!folder && errno == EACCES) {
    throw runtime::UserError(path.string() + ": the run is another user's; ask as the user that started it");
  }
  if (!folder || fstat(folder.get(), &status) != 0) {
    throw runtime::UserError(path.string() + ": the run takes no requests (yet): " + std::strerror(errno));
  }
  if (!is_ours_alone(status)) {
    throw runtime::UserError(path.string() +
                             ": expected a folder that is this user's alone; ask as the user that started the run");
  }
  const runtime::Key random = runtime::random_bytes();
  const std::string id = runtime::hex_of(std::span(random).first(kIdDigits / 2));
  const std::string question = id + std::string(kRequest), answer = id + std::string(kAnswer);
  if (!write_of_ours(folder.get(), question, print_request(request))) {
    throw runtime::RunError(path.string() + ": the request cannot be written: " + std::strerror(errno));
  }
  while (true) {
    const bool alive = is_alive();  // before the last look
    if (const auto text = read_of_ours(folder.get(), answer, kMaxAnswerBytes)) {
      unlinkat(folder.get(), answer.c_str(), 0);
      return parse_answer(*text);
    }
    if (!alive) return std::nullopt;
    std::this_thread::sleep_for(kLook);
  }
}

}  // namespace cadre::launch
