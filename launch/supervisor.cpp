#include "launch/supervisor.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "launch/child_process.h"
#include "runtime/error.h"
#include "runtime/json_fields.h"
#include "runtime/plain_text.h"

namespace cadre::launch {
namespace {

constexpr std::size_t kMaxBytes = 8 << 20;

std::string read_message(int from) {
  std::string text = read_to_end(from, kMaxBytes, "supervisor: a pipe cannot be read");
  if (text.size() > kMaxBytes) throw runtime::RunError("supervisor: a message of more than 8 MiB");
  return text;
}

void write_all(int to, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(to, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw runtime::RunError(runtime::say("supervisor: a pipe is closed: ", std::strerror(errno)));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

std::string start_supervisor(const SupervisorStart& start) {
  Pipe in = make_pipe(), out = make_pipe();
  start_detached(
      {.command = start.command, .stdin_fd = in.read.get(), .stdout_fd = out.write.get(), .stderr_fd = STDERR_FILENO});
  in.read.reset();
  out.write.reset();
  // One that ends before it has read must not end us.
  struct sigaction ignore = {}, before = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &before);
  try {
    write_all(in.write.get(), start.message);
  } catch (const runtime::RunError&) {
    // Its answer, or that there is none, says more.
  }
  sigaction(SIGPIPE, &before, nullptr);
  in.write.reset();
  std::string answered = read_message(out.read.get());
  if (answered.empty()) throw runtime::RunError("the run's supervisor ended before it said where it is");
  boost::system::error_code not_json;
  const boost::json::value answer = boost::json::parse(answered, not_json);
  const auto* object = not_json ? nullptr : answer.if_object();
  if (object == nullptr || !object->contains("problem")) return answered;
  const std::string problem = runtime::text_in(*object, "problem");
  if (object->contains("user_can_mend")) throw runtime::UserError(problem);
  throw runtime::RunError(problem);
}

std::string receive_message() {
  return read_message(STDIN_FILENO);
}

void answer_problem(const std::string& problem, bool user_can_mend) {
  boost::json::object object{{"problem", runtime::plain_line(problem)}};
  if (user_can_mend) object["user_can_mend"] = true;
  write_all(STDOUT_FILENO, boost::json::serialize(object));
}

// The first rank reads to the end.
void answer(const Boot& boot) {
  write_all(STDOUT_FILENO, print_boot(boot));
  const Descriptor null(open("/dev/null", O_WRONLY | O_CLOEXEC));
  for (const int number : {STDOUT_FILENO, STDERR_FILENO}) {
    if (!null || dup2(null.get(), number) < 0) throw runtime::RunError("supervisor: /dev/null cannot be opened");
  }
}

}  // namespace cadre::launch
