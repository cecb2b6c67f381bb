// TensorRT's logger, of which a plugin is given the finder.
#pragma once

namespace detforge {

void log_with(void* finder);

// Logs an error; on standard error where no logger is known.
void log_error(const char* message) noexcept;

}  // namespace detforge
