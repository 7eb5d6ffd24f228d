#include "runtime/shared_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/unit/runtime/test_folder.h"

namespace cadre::runtime {
namespace {

bool is_empty(const TestFolder& folder) {
  return std::filesystem::is_empty(folder.path());
}

TEST(SharedFolder, AProofIsFoundInTheSameFolder) {
  const TestFolder folder;
  const std::string proof = leave_folder_proof(folder.path(), "token");
  EXPECT_TRUE(find_folder_proof(folder.path(), "token", proof));
  EXPECT_TRUE(find_folder_proof(folder.path(), "token", proof)) << "looked for once more";
  remove_folder_proof(folder.path(), proof);
  EXPECT_FALSE(find_folder_proof(folder.path(), "token", proof));
  EXPECT_TRUE(is_empty(folder));
}

TEST(SharedFolder, AnotherFolderHasItNot) {
  const TestFolder here, there;
  EXPECT_FALSE(find_folder_proof(here.path(), "token", leave_folder_proof(there.path(), "token")));
}

TEST(SharedFolder, WhoDoesNotKnowTheTokenProvesNothing) {
  const TestFolder folder;
  EXPECT_FALSE(find_folder_proof(folder.path(), "token", leave_folder_proof(folder.path(), "another")));
}

TEST(SharedFolder, NothingIsLeftWhereThereIsNoFolder) {
  const TestFolder folder;
  EXPECT_EQ(leave_folder_proof(folder.path() / "none", "token"), "");
  EXPECT_FALSE(find_folder_proof(folder.path(), "token", ""));
}

TEST(SharedFolder, WhatIsNoProofIsNotLookedFor) {
  const TestFolder folder;
  std::ofstream(folder.path() / "run.json") << "{}";
  for (const char* proof :
       {"../run.json", "run.json", "0123456789abcdef/../run.json", "0123456789ABCDEF0123456789ABCDEF"}) {
    EXPECT_FALSE(find_folder_proof(folder.path(), "token", proof));
    remove_folder_proof(folder.path(), proof);
  }
  remove_folder_proofs(folder.path());
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "run.json"));
}

TEST(SharedFolder, WhatTheDeadLeftIsRemoved) {
  const TestFolder folder;
  leave_folder_proof(folder.path(), "token");
  leave_folder_proof(folder.path(), "token");
  remove_folder_proofs(folder.path());
  EXPECT_TRUE(is_empty(folder));
}

}  // namespace
}  // namespace cadre::runtime
