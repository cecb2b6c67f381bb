# Whether the CUDA parts are built: DETFORGE_CUDA is AUTO (when nvcc is found), ON (an error when it is not) or OFF.
# Sets CMAKE_CUDA_COMPILER when they are.
include(${CMAKE_CURRENT_LIST_DIR}/architectures.cmake)

set(DETFORGE_CUDA AUTO CACHE STRING "AUTO, ON or OFF")
set_property(CACHE DETFORGE_CUDA PROPERTY STRINGS AUTO ON OFF)

if(DETFORGE_CUDA)
    include(CheckLanguage)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
        if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
            known_architectures(${CMAKE_CUDA_COMPILER} CMAKE_CUDA_ARCHITECTURES)
        endif()
        enable_language(CUDA)
        message(STATUS "detforge: CUDA is built (${CMAKE_CUDA_COMPILER}, architectures ${CMAKE_CUDA_ARCHITECTURES})")
    elseif(DETFORGE_CUDA STREQUAL "ON")
        message(FATAL_ERROR "detforge: CUDA was asked for and cannot be built: no nvcc; set CUDACXX")
    else()
        message(STATUS "detforge: CUDA is left out: no nvcc; set CUDACXX")
    endif()
else()
    message(STATUS "detforge: CUDA is left out: DETFORGE_CUDA is off")
endif()
