#include "runtime/compute_program.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "runtime/error.h"

namespace cadre::runtime {

namespace {

std::filesystem::path beside_this(const char* name) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) throw RunError("/proc/self/exe: " + error.message());
  return self.parent_path() / name;
}

}  // namespace

std::filesystem::path command_program() {
  return beside_this("cadre");
}

std::filesystem::path compute_program() {
  return beside_this("cadre-compute");
}

void become_compute_program() {
  const std::string program = compute_program().string();
  std::vector<std::string> words;
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  throw RunError(program + ": cannot be started: " + std::strerror(errno) + "; cadre needs it beside itself");
}

}  // namespace cadre::runtime
