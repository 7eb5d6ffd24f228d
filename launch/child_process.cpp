#include "launch/child_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "runtime/error.h"

namespace cadre::launch {
namespace {

Ended of_wait_status(int status) {
  if (WIFSIGNALED(status)) return {.signal = WTERMSIG(status)};
  return {.code = WEXITSTATUS(status)};
}

std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& added) {
  std::vector<std::string> lines;
  for (char** line = environ; *line != nullptr; ++line) {
    const std::string text = *line;
    const bool replaced = std::any_of(added.begin(), added.end(),
                                      [&](const auto& variable) { return text.starts_with(variable.first + "="); });
    if (!replaced) lines.push_back(text);
  }
  for (const auto& [name, value] : added) lines.push_back(name + "=" + value);
  return lines;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

// What happens between fork and exec: system calls only, no memory is taken. Says errno through `failure`.
[[noreturn]] void become(const ChildOptions& options, char* const* words, char* const* variables, pid_t parent,
                         int failure) {
  const auto fail = [&] {
    const int error = errno;
    static_cast<void>(!write(failure, &error, sizeof error));
    _exit(127);
  };
  if (options.own_session && setsid() < 0) fail();
  if (options.signal_on_our_death != 0) {
    if (prctl(PR_SET_PDEATHSIG, options.signal_on_our_death) != 0) fail();
    if (getppid() != parent) _exit(127);  // it died before the line above
  }
  struct sigaction plain = {};
  plain.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) sigaction(number, &plain, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);

  // MPI and others leave descriptors open on exec; an old kernel's refusal costs nothing but those.
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) fail();
  // First all out of the way of 0, 1 and 2, then into them.
  int wanted[3] = {options.stdin_fd, options.stdout_fd, options.stderr_fd};
  for (int& number : wanted) {
    number = fcntl(number < 0 ? null : number, F_DUPFD_CLOEXEC, 3);
    if (number < 0) fail();
  }
  for (int i = 0; i < 3; ++i) {
    if (dup2(wanted[i], i) < 0) fail();
  }
  for (const int number : options.inherited) {
    if (fcntl(number, F_SETFD, 0) != 0) fail();
  }
  execvpe(words[0], words, variables);
  fail();
  __builtin_unreachable();
}

// What a process needs before it can become another, since nothing may be allocated in between.
struct Words {
  explicit Words(const ChildOptions& options)
      : command(options.command), environment(environment_with(options.environment)) {}
  std::vector<std::string> command, environment;
  std::vector<char*> words = pointers(command), variables = pointers(environment);
};

void reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
}

pid_t fork_or_throw() {
  const pid_t pid = fork();
  if (pid < 0) throw runtime::RunError(runtime::say("no process can be started: ", std::strerror(errno)));
  return pid;
}

// The errno that the child says; 0 when it could be executed.
int failure_said(Pipe& failure) {
  failure.write.reset();
  int error = 0;
  ssize_t got = 0;
  do {
    got = read(failure.read.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  return got == sizeof error ? error : 0;
}

// Of all threads of a process of /proc together.
std::vector<pid_t> children_of(const std::string& process) {
  std::vector<pid_t> found;
  std::error_code gone;
  for (std::filesystem::directory_iterator at("/proc/" + process + "/task", gone), end; !gone && at != end;
       at.increment(gone)) {
    std::ifstream list(at->path() / "children");
    for (pid_t pid = 0; list >> pid;) found.push_back(pid);
  }
  return found;
}

[[noreturn]] void throw_not_executed(const std::string& program, int error) {
  throw runtime::UserError(program + " cannot be executed: " + std::strerror(error));
}

}  // namespace

Pipe make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw runtime::RunError(runtime::say("no pipe can be made: ", std::strerror(errno)));
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

std::string read_to_end(int from, std::size_t most, const std::string& what) {
  std::string text;
  char block[4096];
  while (text.size() <= most) {
    const ssize_t got = read(from, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw runtime::RunError(what + ": " + std::strerror(errno));
    if (got == 0) break;
    text.append(block, static_cast<std::size_t>(got));
  }
  return text;
}

std::string describe(const Ended& ended) {
  if (ended.signal == 0) return runtime::say("exit code ", ended.code);
  return runtime::say("signal ", ended.signal, " (", strsignal(ended.signal), ")");
}

Ended of_shell_code(int code) {
  return code > 128 ? Ended{.signal = code - 128} : Ended{.code = code};
}

ChildProcess::ChildProcess(const ChildOptions& options) : leads_group_(options.own_session) {
  const Words words(options);
  Pipe failure = make_pipe();
  const pid_t parent = getpid();
  pid_ = fork_or_throw();
  if (pid_ == 0) become(options, words.words.data(), words.variables.data(), parent, failure.write.get());
  if (const int error = failure_said(failure); error != 0) {
    reap(pid_);
    throw_not_executed(options.command[0], error);
  }
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), leads_group_(other.leads_group_), ended_(other.ended_) {}

ChildProcess::~ChildProcess() {
  if (pid_ < 0 || ended_) return;
  signal_group(SIGKILL);
  reap(pid_);
}

const std::optional<Ended>& ChildProcess::poll() {
  int status = 0;
  if (!ended_ && pid_ > 0 && waitpid(pid_, &status, WNOHANG) == pid_) ended_ = of_wait_status(status);
  return ended_;
}

void ChildProcess::signal(int number) {
  if (pid_ > 0 && !ended_) kill(pid_, number);
}

void ChildProcess::signal_group(int number) {
  if (pid_ > 0 && !ended_) kill(leads_group_ ? -pid_ : pid_, number);
}

void start_detached(ChildOptions options) {
  options.own_session = true;
  options.signal_on_our_death = 0;
  const Words words(options);
  Pipe failure = make_pipe();
  const pid_t between = fork_or_throw();
  if (between == 0) {
    const pid_t child = fork();
    if (child == 0) become(options, words.words.data(), words.variables.data(), 0, failure.write.get());
    _exit(child < 0 ? 1 : 0);
  }
  const int error = failure_said(failure);
  reap(between);
  if (error != 0) throw_not_executed(options.command[0], error);
}

void ChildProcess::kill_with_descendants() {
  if (pid_ <= 0 || ended_) return;
  std::vector<pid_t> all{pid_};
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const pid_t child : children_of(std::to_string(all[i]))) all.push_back(child);
  }
  for (const pid_t pid : all) kill(pid, SIGKILL);
}

void adopt_orphans() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

std::vector<pid_t> adopted_children(const std::vector<pid_t>& known) {
  std::vector<pid_t> found;
  for (const pid_t pid : children_of("self")) {
    if (std::find(known.begin(), known.end(), pid) != known.end()) continue;
    if (waitpid(pid, nullptr, WNOHANG) == 0) found.push_back(pid);
  }
  return found;
}

void end_adopted_children(const std::vector<pid_t>& known, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  // Each round may bring the children of those that the one before has ended.
  for (auto pids = adopted_children(known); !pids.empty(); pids = adopted_children(known)) {
    for (const pid_t pid : pids) kill(pid, SIGKILL);
    if (std::chrono::steady_clock::now() > deadline) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace cadre::launch
